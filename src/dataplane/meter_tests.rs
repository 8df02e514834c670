//! Meters by a clock of their own, and by several threads.

use super::*;
use crate::fib::{Action, Builder, CopyOut, Egress, Resolved, RuleSlot, Send, Target};
use crate::types::{Dscp, IfIndex, MtuPolicy, Protocol, SourceFilter, Ttl, VlanFilter};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn bits(rate: u64, burst_bytes: u64) -> Limit {
    Limit { bits_per_second: Some(rate), packets_per_second: None, burst_bytes }
}

fn packets(rate: u64) -> Limit {
    Limit { bits_per_second: None, packets_per_second: Some(rate), burst_bytes: 65_536 }
}

/// How many datagrams of `bytes` pass at one moment.
fn pass(meter: &Meter, at: u64, bytes: u64) -> u64 {
    (0..1_000_000).take_while(|_| meter.admit(Time(at), bytes, 1)).count() as u64
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    // 8 Mbit/s are a byte a microsecond.
    let meter = Meter::new(bits(8_000_000, 100_000));
    assert_eq!(pass(&meter, 5 * SECOND, 1000), 100);
    assert!(!meter.admit(Time(5 * SECOND + 999_999), 1000, 1));
    assert!(meter.admit(Time(5 * SECOND + 1_000_000), 1000, 1));
    assert_eq!(pass(&meter, 5 * SECOND + 11_000_000, 1000), 10);
    // After a pause it is the burst again, however long the pause was.
    for pause in [1, 60, 3600 * 24 * 365, 3600 * 24 * 365 * 3] {
        assert_eq!(pass(&meter, (100 + pause) * SECOND, 1000), 100, "{pause}");
    }
}

#[test]
fn datagrams_are_counted_too() {
    let meter = Meter::new(packets(10_000));
    assert_eq!(pass(&meter, SECOND, 60_000), 1000);
    assert_eq!(pass(&meter, 2 * SECOND, 1), 1000);
    assert_eq!(pass(&meter, 2 * SECOND + SECOND / 100, 1), 100);
    // A slow one lets a whole super-frame pass.
    let slow = Meter::new(packets(1));
    assert!(slow.admit(Time(SECOND), 1, 128));
    assert!(!slow.admit(Time(SECOND), 1, 1));
    assert!(slow.admit(Time(2 * SECOND), 1, 1));
    assert!(!slow.admit(Time(1000 * SECOND), 1, 129), "more than it ever lets pass at once");
}

#[test]
fn what_one_rate_refuses_does_not_count_for_the_other() {
    let limit = Limit {
        bits_per_second: Some(8_000_000),
        packets_per_second: Some(1),
        burst_bytes: 65_536,
    };
    let meter = Meter::new(limit);
    assert!(meter.admit(Time(SECOND), 1000, 128));
    for _ in 0..1000 {
        assert!(!meter.admit(Time(SECOND), 60_000, 1));
    }
    // A datagram later there is still room for all bytes but the first thousand.
    assert!(meter.admit(Time(2 * SECOND), 65_536, 1));
    assert!(!meter.admit(Time(3 * SECOND - 1), 65_536, 1));
}

#[test]
fn a_limit_of_nothing_lets_everything_pass() {
    let none = Limit { bits_per_second: None, packets_per_second: None, burst_bytes: 0 };
    let meter = Meter::new(none);
    assert!((0..1000).all(|_| meter.admit(Time(0), u64::MAX, u64::MAX)));
}

#[test]
fn extremes_neither_panic_nor_let_pass_too_much() {
    for rate in [1, u64::MAX] {
        for burst in [0, 65_536, u64::MAX] {
            let meter = Meter::new(bits(rate, burst));
            for at in [0, 1, SECOND, u64::MAX >> PARTS, u64::MAX] {
                for bytes in [0, 1, u64::MAX] {
                    let _ = meter.admit(Time(at), bytes, 1);
                }
            }
        }
    }
    let slowest = Meter::new(bits(1, 1 << 30));
    assert!(slowest.admit(Time(SECOND), 1 << 20, 1));
    assert!(!slowest.admit(Time(SECOND), 1 << 30, 1));
}

#[test]
fn a_clock_that_was_read_earlier_opens_no_new_burst() {
    let meter = Meter::new(bits(8_000_000, 100_000));
    assert_eq!(pass(&meter, 20 * SECOND, 1000), 100);
    for back in [1, 1000, SECOND, 9 * SECOND] {
        assert!(!meter.admit(Time(20 * SECOND - back), 1000, 1), "{back}");
    }
    // It cost the others nothing.
    assert_eq!(pass(&meter, 20 * SECOND + 50_000_000, 1000), 50);
}

#[test]
fn threads_share_one_burst() {
    const THREADS: usize = 4;
    let meter = Meter::new(bits(8_000_000, 1_000_000));
    let admitted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| pass(&meter, SECOND, 100))).collect();
        threads.into_iter().map(|thread| thread.join().expect("ends")).sum()
    });
    assert_eq!(admitted, 10_000);
}

/// Arrivals: nanoseconds since the one before, and bytes.
fn arrivals() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let gap = prop_oneof![Just(0u64), 0u64..2000, 0u64..3_000_000];
    proptest::collection::vec((gap, 0u64..=65_507), 1..150)
}

fn rates() -> impl Strategy<Value = u64> {
    prop_oneof![1000u64..10_000_000, 10_000_000u64..400_000_000_000]
}

proptest! {
    /// Over any window: at most the rate for as long as it is, and one burst.
    #[test]
    fn no_window_sees_more_than_rate_and_burst(
        rate in rates(),
        burst in 65_536u64..10_000_000,
        start in 0u64..u64::MAX >> 9,
        arrivals in arrivals(),
    ) {
        let meter = Meter::new(bits(rate, burst));
        let mut at = start;
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (gap, bytes) in arrivals {
            at += gap;
            if meter.admit(Time(at), bytes, 1) {
                admitted.push((at, bytes * 8));
            }
        }
        for first in 0..admitted.len() {
            let mut sum = 0u64;
            for (calls, &(last, bits)) in (1u128..).zip(&admitted[first..]) {
                sum += bits;
                // All in parts of a billionth of a bit; each call may win one part of a nanosecond.
                let window = u128::from(last - admitted[first].0) << PARTS;
                let most = u128::from(rate) * (window + calls)
                    + ((u128::from(burst * 8) * u128::from(SECOND)) << PARTS);
                prop_assert!((u128::from(sum) * u128::from(SECOND)) << PARTS <= most);
            }
        }
    }

    /// What a bucket that is filled exactly at the rate lets pass is never refused.
    #[test]
    fn a_stream_that_keeps_to_it_is_never_refused(
        rate in rates(),
        burst in 65_536u64..10_000_000,
        start in 0u64..u64::MAX >> 9,
        arrivals in arrivals(),
    ) {
        let meter = Meter::new(bits(rate, burst));
        let full = u128::from(burst * 8) * u128::from(SECOND);
        // Billionths of a bit; a nanosecond is `rate` of them. The tolerance is kept in whole parts of
        // nanoseconds, so it may be one short.
        let (mut level, mut at) = (full - u128::from(rate >> PARTS) - 1, start);
        let most = level;
        for (gap, bytes) in arrivals {
            at += gap;
            level = most.min(level + u128::from(gap) * u128::from(rate));
            let wanted = u128::from(bytes * 8) * u128::from(SECOND);
            if wanted <= level {
                level -= wanted;
                prop_assert!(meter.admit(Time(at), bytes, 1));
            }
        }
    }
}

/// A table with these outputs.
fn table(limits: &[(u32, Option<Limit>)]) -> Fib {
    let copies = limits.iter().map(|&(slot, limit)| CopyOut {
        slot: OutputSlot(slot),
        action: Action::Send(Send {
            oif: Some(IfIndex(slot + 10)),
            target: Target::UNCHANGED,
            port: None,
            ttl: Ttl::Relayed,
            dscp: Dscp::Keep,
            egress: Egress::Socket { source: None, port: None },
            broadcast: false,
            mtu: None,
            mtu_policy: MtuPolicy::Fragment,
            limit,
            burst: None,
        }),
    });
    let mut builder = Builder::default();
    builder.rule(Resolved {
        slot: RuleSlot(0),
        iif: IfIndex(1),
        vlan: VlanFilter::Untagged,
        groups: vec!["239.1.1.1/32".parse().expect("a group")],
        ports: Vec::new(),
        sources: SourceFilter::default(),
        protocol: Protocol::Udp,
        link_local: false,
        copies: copies.collect(),
    });
    builder.build(1).fib
}

#[test]
fn meters_stay_where_slot_and_limit_stay() {
    let (slow, fast) = (bits(8000, 65_536), bits(16_000, 65_536));
    let first = Meters::default().follow(&table(&[(0, None), (1, Some(slow)), (2, Some(slow))]));
    assert!(first.of(OutputSlot(0)).is_none());
    for slot in [1, 2] {
        let meter = first.of(OutputSlot(slot)).expect("is limited");
        assert!(meter.admit(Time(SECOND), 65_536, 1));
    }
    let next = first.follow(&table(&[(1, Some(slow)), (2, Some(fast)), (3, Some(slow))]));
    let admits = |slot| next.of(OutputSlot(slot)).map(|m| m.admit(Time(SECOND), 65_536, 1));
    assert_eq!([0, 1, 2, 3].map(admits), [None, Some(false), Some(true), Some(true)]);
    // Those that work by the older table share it.
    assert!(!first.of(OutputSlot(1)).expect("is limited").admit(Time(SECOND), 65_536, 1));
}

#[test]
fn an_output_on_several_interfaces_has_one_meter() {
    let limit = bits(8000, 65_536);
    let fib = table(&[(4, Some(limit)), (4, Some(limit)), (5, None)]);
    assert_eq!(fib.limits(), [(OutputSlot(4), limit)]);
}
