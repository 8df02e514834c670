//! The instruments of the benchmark that are pure: they notice what they are there to notice.

#[path = "../benches/relay/arrivals.rs"]
mod arrivals;
#[path = "../benches/relay/frames.rs"]
mod frames;
#[path = "../benches/relay/payload.rs"]
mod payload;
#[path = "../benches/relay/search.rs"]
mod search;
#[path = "../benches/relay/statistics.rs"]
mod statistics;
#[path = "../benches/relay/tally.rs"]
mod tally;

mod payload_tests {
    use crate::payload::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { flow: 63, sequence: 1 << 40, sent_at: 123_456_789_012 };
        let mut payload = blank(1400);
        payload[..STAMP_LEN].copy_from_slice(&stamp.bytes());
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert!(is_intact(&payload));
        payload[1399] ^= 1;
        assert!(!is_intact(&payload));
        payload[0] ^= 1;
        assert_eq!(Stamp::read(&payload), None);
        assert_eq!(Stamp::read(&payload[..23]), None);
    }
}

mod frames_tests {
    use crate::frames::*;
    use crate::payload::{self, Stamp};
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use std::net::Ipv4Addr;

    #[test]
    fn frames_are_what_an_independent_parser_reads() {
        let source = Ipv4Addr::new(10, 1, 0, 10);
        let flows = Flows { source, group: Ipv4Addr::new(239, 129, 0, 255), port: 5000, count: 3 };
        for len in [24, 25, 1400] {
            let mut frames = Frames::new(&flows, [2, 0, 0, 0, 0, 1], len, 2);
            for flow in 0..3 {
                let stamp = Stamp { flow, sequence: 0xffff_0000_1234, sent_at: u64::MAX };
                frames.stamp(1, &stamp);
                let frame = &frames.slots()[1];
                let parsed = SlicedPacket::from_ethernet(frame).expect("a frame");
                let Some(NetSlice::Ipv4(ip)) = parsed.net else { panic!("IPv4") };
                let header = ip.header().to_header();
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                let group = flows.group(flow);
                assert_eq!(ip.header().destination_addr(), group);
                let [_, high, middle, low] = group.octets();
                assert_eq!(frame[..6], [1, 0, 0x5e, high & 127, middle, low]);
                let Some(TransportSlice::Udp(udp)) = parsed.transport else { panic!("UDP") };
                let sum = udp.to_header().calc_checksum_ipv4(&header, udp.payload());
                assert_eq!(sum.expect("short"), udp.checksum(), "flow {flow}, {len} bytes");
                assert_eq!(Stamp::read(udp.payload()), Some(stamp));
                assert!(payload::is_intact(udp.payload()));
            }
        }
    }
}

mod tally_tests {
    use crate::tally::*;

    fn of(arrivals: &[(u64, u64)]) -> (u64, u64, u64) {
        let mut tally = Tally::default();
        for &(first, count) in arrivals {
            tally.came(first, count);
        }
        (tally.lost(10), tally.duplicated, tally.reordered)
    }

    #[test]
    fn what_is_dropped_doubled_or_reordered_is_noticed() {
        assert_eq!(of(&[(0, 4), (4, 1), (5, 5)]), (0, 0, 0));
        // One is missing: at the start, in the middle, at the end.
        assert_eq!(of(&[(1, 9)]), (1, 0, 0));
        assert_eq!(of(&[(0, 4), (5, 5)]), (1, 0, 0));
        assert_eq!(of(&[(0, 9)]), (1, 0, 0));
        // One came twice: at once, later, and as part of a train.
        assert_eq!(of(&[(0, 4), (3, 1), (4, 6)]), (0, 1, 0));
        assert_eq!(of(&[(0, 10), (0, 1)]), (0, 1, 0));
        assert_eq!(of(&[(0, 6), (4, 6)]), (0, 2, 0));
        // One after a later one; a train after a later one.
        assert_eq!(of(&[(0, 4), (5, 1), (4, 1), (6, 4)]), (0, 0, 1));
        assert_eq!(of(&[(5, 5), (0, 5)]), (0, 0, 5));
        assert_eq!(of(&[(0, 2), (5, 5), (3, 1), (3, 1)]), (2, 1, 1));
        assert_eq!(of(&[]), (10, 0, 0));
    }

    #[test]
    fn gaps_are_bounded_and_still_lost() {
        let mut tally = Tally::default();
        let count = MAX_GAPS as u64 + 1000;
        for number in 0..count {
            tally.came(2 * number + 1, 1);
        }
        assert_eq!(tally.gaps.len(), MAX_GAPS);
        assert_eq!(tally.lost(2 * count), count);
    }
}

mod statistics_tests {
    use crate::statistics::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let sample = |values: &[f64]| Sample { values: values.to_vec() };
        assert_eq!(sample(&[3.0, 1.0, 9.0]).median(), Some(3.0));
        assert_eq!(sample(&[4.0, 1.0, 9.0, 2.0]).median(), Some(3.0));
        assert_eq!(sample(&[4.0, 1.0, 9.0]).spread(), Some((1.0, 9.0)));
        assert_eq!((sample(&[]).median(), sample(&[]).spread()), (None, None));
    }

    #[test]
    fn the_slope_is_that_of_the_line() {
        let points: Vec<_> = (0..10).map(|x| (f64::from(x), 5.0 + 2.0 * f64::from(x))).collect();
        assert!((slope(&points) - 2.0).abs() < 1e-9);
        assert_eq!(slope(&[(1.0, 1.0)]), 0.0);
        assert_eq!(slope(&[]), 0.0);
    }
}

mod search_tests {
    use crate::search::*;

    /// A system that takes `limit`, behind a generator that sends at most `most`.
    fn find(limit: f64, most: f64) -> (Found, u32) {
        let mut trials = 0;
        let search = Search { first: 50_000.0, allowed: 0.001, precision: 0.05 };
        let found = search.run(|rate| {
            trials += 1;
            let sent_rate = rate.min(most);
            let loss = (1.0 - limit / sent_rate).max(0.0);
            Probe { sent_rate, loss, sender_at_end: rate >= most }
        });
        (found, trials)
    }

    #[test]
    fn the_limit_is_found_in_few_trials() {
        for limit in [1_000.0, 49_000.0, 50_000.0, 263_000.0, 5_000_000.0] {
            let (found, trials) = find(limit, f64::INFINITY);
            assert!(found.rate <= limit * 1.001 && found.rate >= limit * 0.95, "{found:?}");
            assert!(!found.generator_bound && trials < 24, "{trials} trials");
        }
    }

    #[test]
    fn a_generator_at_its_end_is_named() {
        let (found, _) = find(1_000_000.0, 600_000.0);
        assert_eq!(found, Found { rate: 600_000.0, generator_bound: true, held_up: false });
        // The system's limit is lower than the generator's, though the next step is beyond both.
        let (found, _) = find(500_000.0, 600_000.0);
        assert!(!found.generator_bound && found.rate > 475_000.0, "{found:?}");
    }

    #[test]
    fn one_spoilt_trial_changes_nothing() {
        let mut trials = 0;
        let search = Search { first: 50_000.0, allowed: 0.001, precision: 0.05 };
        let found = search.run(|rate| {
            trials += 1;
            let spoilt = trials == 2 || trials == 5;
            let limit = if spoilt { 1_000.0 } else { 300_000.0 };
            let loss = (1.0 - limit / rate).max(0.0);
            Probe { sent_rate: rate, loss, sender_at_end: false }
        });
        assert!(found.rate > 285_000.0 && found.rate <= 300_300.0, "{found:?}");
    }

    #[test]
    fn a_sender_that_is_held_up_is_not_at_its_end_and_ends_the_search() {
        let mut trials = 0;
        let search = Search { first: 50_000.0, allowed: 0.001, precision: 0.05 };
        let found = search.run(|rate| {
            trials += 1;
            let sent_rate = 0.9 * rate;
            let loss = if rate > 300_000.0 { 0.5 } else { 0.0 };
            Probe { sent_rate, loss, sender_at_end: false }
        });
        assert!(
            !found.generator_bound && found.held_up && found.rate >= 150_000.0 && trials < 20,
            "{found:?}"
        );
    }

    #[test]
    fn nothing_passes() {
        assert_eq!(
            find(0.0, f64::INFINITY).0,
            Found { rate: 0.0, generator_bound: false, held_up: false }
        );
    }
}

mod arrivals_tests {
    use crate::arrivals::Arrivals;
    use crate::frames::{Flows, Frames, HEADERS};
    use crate::payload::Stamp;
    use mcr::sys::ring::Seen;
    use std::net::Ipv4Addr;

    const SIZE: usize = 1400;
    const REAL: u64 = 1_000_000;

    /// Two outputs, two flows; each arrival is output, flow, number, datagrams in the frame, bytes of
    /// each.
    fn of(all: &[(usize, u32, u64, u16, usize)]) -> Arrivals {
        let source = Ipv4Addr::new(10, 1, 0, 10);
        let flows = Flows { source, group: Ipv4Addr::new(239, 1, 0, 1), port: 5000, count: 4 };
        let mut frames = Frames::new(&flows, [2; 6], SIZE, 1);
        let mut arrivals = Arrivals::new(2, 2);
        for &(output, flow, sequence, count, size) in all {
            frames.stamp(0, &Stamp { flow, sequence, sent_at: 5_000 });
            let mut vnet = [0; 10];
            if count > 1 {
                vnet[1] = 5;
                vnet[4..6].copy_from_slice(&u16::try_from(size).expect("short").to_ne_bytes());
            }
            let len = HEADERS + usize::from(count) * size;
            let seen = Seen {
                at: REAL + 25_000,
                ifindex: 0,
                len: u32::try_from(len).expect("short"),
                vnet,
                head: &frames.slots()[0][..128],
            };
            arrivals.frame(&seen, Some(output).filter(|output| *output < 2), SIZE, REAL);
        }
        arrivals
    }

    #[test]
    fn a_super_frame_counts_as_its_datagrams() {
        let arrivals = of(&[(1, 1, 0, 40, SIZE), (1, 1, 40, 1, SIZE), (1, 1, 41, 2, SIZE)]);
        assert_eq!((arrivals.frames, arrivals.super_frames), (3, 2));
        assert_eq!((arrivals.wrong_size, arrivals.foreign), (0, 0));
        let tally = &arrivals.output(1)[1];
        assert_eq!((tally.unique, tally.duplicated, tally.reordered), (43, 0, 0));
        assert_eq!((arrivals.latency.len(), arrivals.latency.max() / 100), (43, 200));
        // The other flow and the other output got nothing.
        assert_eq!(arrivals.output(1)[0].unique + arrivals.output(0)[1].unique, 0);
    }

    #[test]
    fn what_is_lost_from_a_train_or_doubled_with_it_is_noticed() {
        let arrivals = of(&[(0, 0, 0, 10, SIZE), (0, 0, 11, 10, SIZE), (0, 0, 20, 2, SIZE)]);
        let tally = &arrivals.output(0)[0];
        assert_eq!((tally.lost(22), tally.duplicated, tally.reordered), (1, 1, 0));
        let arrivals = of(&[(0, 0, 10, 10, SIZE), (0, 0, 0, 10, SIZE)]);
        let tally = &arrivals.output(0)[0];
        assert_eq!((tally.lost(20), tally.duplicated, tally.reordered), (0, 0, 10));
    }

    #[test]
    fn sizes_and_strangers_are_noticed() {
        let arrivals = of(&[(0, 0, 0, 1, SIZE - 1), (0, 0, 1, 4, SIZE - 2), (0, 0, 5, 1, SIZE)]);
        assert_eq!((arrivals.wrong_size, arrivals.foreign), (5, 0));
        // Only the tap and its thread know these.
        assert_eq!((arrivals.missed, arrivals.cpu), (0, 0));
        // A flow that is not in use, an interface that is none of the outputs.
        let arrivals = of(&[(0, 2, 0, 1, SIZE), (7, 0, 0, 1, SIZE)]);
        assert_eq!((arrivals.wrong_size, arrivals.foreign), (0, 2));
    }
}
