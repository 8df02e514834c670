//! The table against a naive model: all rules that match a packet, one by one.

use super::*;
use crate::types::Ttl;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn key(iif: u32, group: u8, port: u16, source: u8) -> FlowKey {
    let source = match source {
        0 => ANY_SOURCE,
        n => Ipv4Addr::new(10, 0, 0, n).into(),
    };
    FlowKey { iif: IfIndex(iif), destination: Ipv4Addr::new(239, 1, 1, group).into(), port, source }
}

fn send(oif: u32, ttl: u8) -> Action {
    Action::Send(Send {
        oif: Some(IfIndex(oif)),
        source: None,
        destination: Some(key(1, 1, 0, 0).destination),
        port: Some(6000),
        ttl: Ttl::Set(ttl),
    })
}

fn rule(slot: u32, key: FlowKey, actions: &[Action]) -> Resolved {
    let copies = actions
        .iter()
        .enumerate()
        .map(|(n, &action)| CopyOut { slot: OutputSlot(slot * 4 + n as u32), action })
        .collect();
    Resolved { slot: RuleSlot(slot), key, copies }
}

fn build(rules: Vec<Resolved>) -> (Fib, BTreeSet<Conflict>) {
    let mut builder = Builder::default();
    for rule in rules {
        builder.rule(rule);
    }
    builder.build(7)
}

#[test]
fn two_sources_of_one_group_stay_two_entries() {
    let (fib, _) = build(vec![
        rule(0, key(1, 1, 5000, 1), &[send(2, 16)]),
        rule(1, key(1, 1, 5000, 2), &[send(3, 16)]),
    ]);
    let rules = |source| fib.lookup(&key(1, 1, 5000, source)).map(|entry| entry.rules.clone());
    assert_eq!(rules(1), Some(vec![RuleSlot(0)]));
    assert_eq!(rules(2), Some(vec![RuleSlot(1)]));
    assert_eq!(rules(3), None);
    assert_eq!(fib.generation(), 7);
    assert_eq!((fib.rule_slots(), fib.output_slots()), (2, 5));
}

#[test]
fn a_packet_gets_the_outputs_of_every_rule_that_matches() {
    // Neither key covers the other: only their meet holds both.
    let (fib, conflicts) = build(vec![
        rule(0, key(1, 1, ANY_PORT, 1), &[send(2, 16)]),
        rule(1, key(1, 1, 5000, 0), &[send(3, 16)]),
    ]);
    assert!(conflicts.is_empty());
    let both = fib.lookup(&key(1, 1, 5000, 1)).expect("meet");
    assert_eq!(both.rules, vec![RuleSlot(0), RuleSlot(1)]);
    assert_eq!(both.copies.len(), 2);
    assert_eq!(fib.lookup(&key(1, 1, 5001, 1)).expect("source").rules, vec![RuleSlot(0)]);
    assert_eq!(fib.lookup(&key(1, 1, 5000, 2)).expect("port").rules, vec![RuleSlot(1)]);
    assert!(fib.lookup(&key(1, 1, 5001, 2)).is_none());
}

#[test]
fn unchanged_and_the_same_value_are_one_copy() {
    let to_group = |port: Option<u16>| {
        Action::Send(Send {
            oif: Some(IfIndex(2)),
            source: None,
            destination: port.map(|_| key(1, 1, 0, 0).destination),
            port,
            ttl: Ttl::Set(16),
        })
    };
    let (fib, conflicts) = build(vec![
        rule(0, key(1, 1, ANY_PORT, 0), &[to_group(None)]),
        rule(1, key(1, 1, 5000, 0), &[to_group(Some(5000))]),
    ]);
    assert!(conflicts.is_empty());
    assert_eq!(fib.lookup(&key(1, 1, 5000, 1)).expect("both").copies.len(), 1);
    assert_eq!(fib.lookup(&key(1, 1, 5001, 1)).expect("every port").copies.len(), 1);
}

#[test]
fn the_same_copy_is_sent_once_and_a_contradiction_is_named() {
    let (fib, conflicts) = build(vec![
        rule(0, key(1, 1, 5000, 0), &[send(2, 16)]),
        rule(1, key(1, 1, ANY_PORT, 0), &[send(2, 16), send(3, 16)]),
        rule(2, key(1, 1, 5000, 0), &[send(2, 99)]),
    ]);
    let entry = fib.lookup(&key(1, 1, 5000, 9)).expect("entry");
    let actions: Vec<_> = entry.copies.iter().map(|copy| copy.action).collect();
    assert_eq!(actions, vec![send(2, 16), send(3, 16), Action::Drop(DropReason::Contradicted)]);
    let expected = Conflict { loser: OutputSlot(8), winner: RuleSlot(0) };
    assert_eq!(conflicts.into_iter().collect::<Vec<_>>(), vec![expected]);
}

proptest! {
    #[test]
    fn equals_the_naive_model(
        shapes in proptest::collection::vec((1u32..3, 0u8..3, 0u16..3, 0u8..3), 1..24),
        packets in proptest::collection::vec((1u32..3, 0u8..3, 1u16..4, 1u8..4), 1..40),
    ) {
        let rules: Vec<_> = shapes
            .iter()
            .enumerate()
            .map(|(n, &(iif, group, port, source))| {
                rule(n as u32, key(iif, group, port, source), &[send(100 + n as u32, 16)])
            })
            .collect();
        let (fib, _) = build(rules.clone());
        for (iif, group, port, source) in packets {
            let packet = key(iif, group, port, source);
            let expected: Vec<RuleSlot> = rules
                .iter()
                .filter(|rule| {
                    let k = rule.key;
                    k.iif == packet.iif
                        && k.destination == packet.destination
                        && (k.port == ANY_PORT || k.port == packet.port)
                        && (k.source == ANY_SOURCE || k.source == packet.source)
                })
                .map(|rule| rule.slot)
                .collect();
            let found = fib.lookup(&packet).map_or(vec![], |entry| entry.rules.clone());
            prop_assert_eq!(&found, &expected);
            let copies = fib.lookup(&packet).map_or(0, |entry| entry.copies.len());
            prop_assert_eq!(copies, expected.len());
        }
    }
}
