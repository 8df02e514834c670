//! A table that does what the reports say ends up as what is wanted.

use super::*;
use proptest::prelude::*;

/// What a listener takes reports to mean, at once and for ever.
#[derive(Default)]
struct Listener(BTreeMap<Ipv4Addr, Reception>);

impl Listener {
    fn apply(&mut self, said: Said) {
        let Said::V3(records) = said else { panic!("{said:?}") };
        for (kind, group, sources) in records {
            let sources: BTreeSet<_> = sources.into_iter().map(source).collect();
            let known = self.0.remove(&group).unwrap_or_else(|| include(&[]));
            let now = match (kind, known) {
                (RecordKind::IsIn | RecordKind::ToIn, _) => Reception::Include(sources),
                (RecordKind::IsEx | RecordKind::ToEx, _) => Reception::Exclude(sources),
                (RecordKind::Allow, Reception::Include(known)) => {
                    Reception::Include(&known | &sources)
                }
                (RecordKind::Block, Reception::Include(known)) => {
                    Reception::Include(&known - &sources)
                }
                (RecordKind::Allow, Reception::Exclude(known)) => {
                    Reception::Exclude(&known - &sources)
                }
                (RecordKind::Block, Reception::Exclude(known)) => {
                    Reception::Exclude(&known | &sources)
                }
            };
            if now != include(&[]) {
                self.0.insert(group, now);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Want(u8, Reception),
    Pass(u64),
    Query,
    Rejoin,
}

fn reception() -> impl Strategy<Value = Reception> {
    let sources = proptest::collection::btree_set((0_u8..4).prop_map(source), 0..4);
    (any::<bool>(), sources).prop_map(|(all_but, sources)| match all_but {
        true => Reception::Exclude(sources),
        false => Reception::Include(sources),
    })
}

fn steps(groups: u8) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..groups, reception()).prop_map(|(group, wanted)| Step::Want(group, wanted)),
        3 => (0_u64..1500).prop_map(Step::Pass),
        1 => Just(Step::Query),
        1 => Just(Step::Rejoin),
    ];
    proptest::collection::vec(step, 1..40)
}

fn group(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(239, 0, 0, n)
}

/// Does a step; what is said in it.
fn perform(bench: &mut Bench, step: &Step) -> Vec<Said> {
    match step {
        Step::Want(n, reception) if *reception == include(&[]) => bench.leave(group(*n)),
        Step::Want(n, reception) => bench.want(group(*n), reception.clone()),
        Step::Pass(milliseconds) => bench.hear(Duration::from_millis(*milliseconds)),
        Step::Query => {
            bench.query(QueryToSend { max_response: seconds(1), ..query() });
            Vec::new()
        }
        Step::Rejoin => {
            bench.host.rejoin(bench.now, LINK);
            bench.said()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn without_loss_a_listener_knows_what_is_wanted_after_every_step(steps in steps(3)) {
        let mut bench = Bench::new(HostMode::Own);
        let mut listener = Listener::default();
        for step in &steps {
            perform(&mut bench, step).into_iter().for_each(|said| listener.apply(said));
            prop_assert_eq!(&listener.0, &bench.wanted, "after {:?}", step);
        }
        bench.hear(seconds(60)).into_iter().for_each(|said| listener.apply(said));
        prop_assert_eq!(&listener.0, &bench.wanted);
        let left = (bench.host.next_timeout(), bench.host.groups(LINK).count());
        prop_assert_eq!(left, (None, bench.wanted.len()), "no timer is left, and no other group");
    }

    #[test]
    fn as_many_losses_in_a_row_as_robustness_allows_do_no_harm(
        steps in steps(1),
        robustness in 2_u8..5,
        losses in proptest::collection::vec(any::<bool>(), 1..50),
    ) {
        let mut bench = Bench::new(HostMode::Own);
        bench.query(QueryToSend { robustness, ..query() });
        let mut listener = Listener::default();
        let (mut losses, mut in_a_row) = (losses.iter().cycle(), 0);
        let mut hear = |said: Vec<Said>| {
            for said in said {
                if losses.next() == Some(&true) && in_a_row + 1 < robustness {
                    in_a_row += 1;
                } else {
                    in_a_row = 0;
                    listener.apply(said);
                }
            }
        };
        // Answers to queries are no repetitions of a change: without them.
        for step in steps.iter().filter(|step| !matches!(step, Step::Query)) {
            hear(perform(&mut bench, step));
        }
        hear(bench.hear(seconds(60)));
        prop_assert_eq!(&listener.0, &bench.wanted);
    }
}
