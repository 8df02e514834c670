//! Random reports against a second, naive reading of the tables, and what must hold whatever comes.

use super::*;
use crate::types::QuerierMode;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MEMBERSHIP: f64 = 270.0;
const LAST_MEMBER: f64 = 2.0;

/// The tables of RFC 9776 section 6.4 written down as they stand there, times in seconds.
#[derive(Clone, Debug)]
enum Naive {
    Include(BTreeMap<u8, f64>),
    Exclude { x: BTreeMap<u8, f64>, y: BTreeSet<u8>, timer: f64 },
}

impl Naive {
    fn expire(&mut self, now: f64) {
        *self = match std::mem::replace(self, Self::Include(BTreeMap::new())) {
            Self::Include(a) => Self::Include(a.into_iter().filter(|(_, t)| *t > now).collect()),
            Self::Exclude { x, y, timer } => {
                let (run, ended): (BTreeMap<_, _>, BTreeMap<_, _>) =
                    x.into_iter().partition(|(_, t)| *t > now);
                if timer <= now {
                    Self::Include(run)
                } else {
                    Self::Exclude {
                        x: run,
                        y: y.into_iter().chain(ended.into_keys()).collect(),
                        timer,
                    }
                }
            }
        };
    }

    fn record(&mut self, now: f64, kind: RecordKind, b: &BTreeSet<u8>) {
        let (gmi, lmqt) = (now + MEMBERSHIP, now + LAST_MEMBER);
        *self = match (self.clone(), kind) {
            (Self::Include(mut a), RecordKind::IsIn | RecordKind::Allow) => {
                a.extend(b.iter().map(|n| (*n, gmi)));
                Self::Include(a)
            }
            (Self::Include(mut a), RecordKind::Block) => {
                a.iter_mut().filter(|(n, _)| b.contains(n)).for_each(|(_, t)| *t = t.min(lmqt));
                Self::Include(a)
            }
            (Self::Include(mut a), RecordKind::ToIn) => {
                a.iter_mut().filter(|(n, _)| !b.contains(n)).for_each(|(_, t)| *t = t.min(lmqt));
                a.extend(b.iter().map(|n| (*n, gmi)));
                Self::Include(a)
            }
            (Self::Include(a), RecordKind::IsEx | RecordKind::ToEx) => {
                let y = b.iter().filter(|n| !a.contains_key(n)).copied().collect();
                let mut x: BTreeMap<u8, f64> =
                    a.into_iter().filter(|(n, _)| b.contains(n)).collect();
                if kind == RecordKind::ToEx {
                    x.values_mut().for_each(|t| *t = t.min(lmqt));
                }
                Self::Exclude { x, y, timer: gmi }
            }
            (Self::Exclude { mut x, mut y, timer }, RecordKind::IsIn | RecordKind::Allow) => {
                x.extend(b.iter().map(|n| (*n, gmi)));
                y.retain(|n| !b.contains(n));
                Self::Exclude { x, y, timer }
            }
            (Self::Exclude { mut x, mut y, timer }, RecordKind::ToIn) => {
                x.iter_mut().filter(|(n, _)| !b.contains(n)).for_each(|(_, t)| *t = t.min(lmqt));
                x.extend(b.iter().map(|n| (*n, gmi)));
                y.retain(|n| !b.contains(n));
                Self::Exclude { x, y, timer: timer.min(lmqt) }
            }
            (Self::Exclude { mut x, y, timer }, RecordKind::Block) => {
                for n in b.iter().filter(|n| !y.contains(n)) {
                    let t = x.entry(*n).or_insert(timer);
                    *t = t.min(lmqt);
                }
                Self::Exclude { x, y, timer }
            }
            (Self::Exclude { x, y, timer }, RecordKind::IsEx) => Self::Exclude {
                x: b.iter()
                    .filter(|n| !y.contains(n))
                    .map(|n| (*n, x.get(n).copied().unwrap_or(gmi)))
                    .collect(),
                y: y.intersection(b).copied().collect(),
                timer: {
                    let _ = timer;
                    gmi
                },
            },
            (Self::Exclude { x, y, timer }, RecordKind::ToEx) => Self::Exclude {
                x: b.iter()
                    .filter(|n| !y.contains(n))
                    .map(|n| (*n, x.get(n).copied().unwrap_or(timer).min(lmqt)))
                    .collect(),
                y: y.intersection(b).copied().collect(),
                timer: gmi,
            },
        };
    }

    fn wanted(&self) -> Option<Reception> {
        match self {
            Self::Include(a) if a.is_empty() => None,
            Self::Include(a) => Some(Reception::Include(a.keys().map(|n| s(*n)).collect())),
            Self::Exclude { y, .. } => Some(Reception::Exclude(y.iter().map(|n| s(*n)).collect())),
        }
    }
}

fn kind() -> impl Strategy<Value = RecordKind> {
    prop_oneof![
        Just(RecordKind::IsIn),
        Just(RecordKind::IsEx),
        Just(RecordKind::ToIn),
        Just(RecordKind::ToEx),
        Just(RecordKind::Allow),
        Just(RecordKind::Block),
    ]
}

/// Pauses are no multiples of what timers run for, so that order at one moment does not matter.
fn pause() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(0.37), Just(1.13), Just(2.71), Just(41.3), Just(133.7), Just(271.9)]
}

proptest! {
    #[test]
    fn v3_4_v3_5_random_reports_do_what_the_tables_say(
        steps in prop::collection::vec((pause(), kind(), prop::collection::btree_set(0u8..5, 0..4)), 1..40)
    ) {
        let mut wire = Wire::settled(IgmpSettings { querier: QuerierMode::On, ..IgmpSettings::default() });
        let mut naive = Naive::Include(BTreeMap::new());
        let mut now = 0.0;
        let mut known = None;
        for (pause, kind, sources) in steps {
            wire.pass(secs(pause));
            now += pause;
            naive.expire(now);
            prop_assert_eq!(wire.wanted(), naive.wanted(), "after {} s", pause);
            let listed: Vec<Ipv4Addr> = sources.iter().map(|n| s(*n)).collect();
            wire.report(HOST, kind, GROUP, &listed);
            naive.record(now, kind, &sources);
            prop_assert_eq!(wire.wanted(), naive.wanted(), "{:?} {:?}", kind, listed);
            // What is told is what is.
            while let Some((link, group)) = wire.igmp.poll_change() {
                known = wire.igmp.reception(link, group);
            }
            prop_assert_eq!(known.clone(), wire.wanted());
            for asked in &wire.asked {
                prop_assert!(asked.group.is_none() || !asked.suppress || asked.at > Duration::ZERO);
            }
        }
        // In the end nothing is left.
        wire.pass(secs(600.0));
        prop_assert_eq!(wire.wanted(), None);
        prop_assert!(wire.igmp.group_views(wire.now, LINK).next().is_none());
    }

    #[test]
    fn random_packets_never_panic(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), 0u8..6), 0..60)
    ) {
        let mut wire = Wire::new(IgmpSettings { max_groups: 8, max_sources: 4, immediate_leave: true, ..IgmpSettings::default() });
        for (noise, which) in packets {
            let mut packet = match which {
                0 => encode_report_v1(HOST, GROUP),
                1 => encode_report_v2(HOST, GROUP),
                2 => encode_leave(HOST, GROUP),
                3 => encode_query(Ipv4Addr::new(10, 0, 0, 1), &other(Some(GROUP), false)),
                _ => noise.clone(),
            };
            if let (Some(at), Some(value)) = (noise.first(), noise.get(1))
                && let Some(byte) = packet.get_mut(usize::from(*at)) { *byte ^= value; }
            wire.hear(&packet);
            wire.pass(secs(f64::from(noise.len() as u32) / 10.0));
        }
        prop_assert!(wire.igmp.view(LINK).expect("it runs").groups <= 8);
    }
}
