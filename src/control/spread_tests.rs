//! Ports over workers.

use super::super::ports::Wanted;
use super::*;
use crate::types::Time;
use proptest::prelude::*;

fn crew(running: &[bool], free: Range<u32>) -> Crew {
    Crew { running: running.to_vec(), expected: running.to_vec(), free }
}

fn wanted(interfaces: &[u32]) -> BTreeMap<PortKey, Wanted> {
    let shards = (1u32..).zip(interfaces);
    shards
        .flat_map(|(iif, shards)| {
            (0..*shards).map(move |shard| (PortKey::Packet(IfIndex(iif), shard), Wanted::default()))
        })
        .collect()
}

fn places(ports: &Ports) -> Vec<u32> {
    ports.iter().map(|port| port.worker).collect()
}

#[test]
fn shards_of_an_interface_go_to_different_workers() {
    let mut ports = Ports::default();
    ports.want(&wanted(&[4, 2]), &crew(&[true, true, true], 0..3), Time(0));
    assert_eq!(places(&ports), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn more_workers_get_their_share_and_fewer_give_it_back() {
    let mut ports = Ports::default();
    ports.want(&wanted(&[4, 3]), &crew(&[true], 0..1), Time(0));
    assert_eq!(places(&ports), [0; 7]);
    assert_eq!(ports.spread(&crew(&[true], 0..1)), []);
    let both = crew(&[true, true], 0..2);
    let moved = ports.spread(&both);
    assert_eq!(moved.len(), 3, "{moved:?}");
    assert_eq!(places(&ports), [0, 0, 1, 1, 0, 0, 1]);
    assert_eq!(ports.spread(&both), [], "it is even");
    let back = ports.spread(&crew(&[true, true], 0..1));
    assert_eq!(back, moved, "those that went");
    assert_eq!(places(&ports), [0; 7]);
}

#[test]
fn ports_that_are_bound_to_a_core_stay() {
    let mut ports = Ports::default();
    let mut wanted = wanted(&[2, 2]);
    for (shard, worker) in [(0, 0), (1, 1)] {
        let bound = Wanted { worker: Some(worker), ..Wanted::default() };
        wanted.insert(PortKey::Packet(IfIndex(1), shard), bound);
    }
    ports.want(&wanted, &crew(&[true, true, true], 2..3), Time(0));
    assert_eq!(places(&ports), [0, 1, 2, 2]);
    let more = crew(&[true, true, true, true], 2..4);
    assert_eq!(ports.spread(&more).len(), 1);
    assert_eq!(places(&ports), [0, 1, 2, 3]);
}

proptest! {
    #[test]
    fn any_number_of_workers_ends_up_even(
        interfaces in proptest::collection::vec(1u32..6, 1..12),
        bound in 0u32..3,
        changes in proptest::collection::vec((1u32..9, any::<u16>()), 1..6),
    ) {
        let mut ports = Ports::default();
        let wanted = wanted(&interfaces);
        let all: usize = interfaces.iter().map(|n| *n as usize).sum();
        for (workers, stopped) in changes {
            let free = bound..bound + workers;
            let mut running: Vec<bool> = (0..free.end).map(|n| stopped & 1 << n == 0).collect();
            running[bound as usize] = true;
            let crew = crew(&running, free.clone());
            let before: Vec<(u32, u32)> = ports.iter().map(|p| (p.id, p.worker)).collect();
            let steps = ports.spread(&crew);
            // Exactly those that have another worker and were open are moved.
            let moved: Vec<PortStep> = ports
                .iter()
                .zip(&before)
                .filter(|(port, (_, old))| port.worker != *old && port.state == PortState::Open)
                .map(|(port, _)| PortStep::Move(port.id))
                .collect();
            prop_assert_eq!(&steps, &moved);
            ports.want(&wanted, &crew, Time(0));
            prop_assert_eq!(ports.iter().count(), all);
            prop_assert!(ports.iter().all(|port| free.contains(&port.worker)));
            prop_assert_eq!(ports.spread(&crew).len(), 0, "spreading twice moves nothing");
            if stopped == 0 {
                let load = Load::of(ports.iter());
                let range = |of: &dyn Fn(u32) -> usize| {
                    let counts: Vec<usize> = free.clone().map(of).collect();
                    counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
                };
                for iif in (1u32..).take(interfaces.len()) {
                    prop_assert!(range(&|worker| load.on(IfIndex(iif), worker)) <= 1);
                }
            }
        }
    }
}
