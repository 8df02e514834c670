//! The state machine against random fragmentation: the exact datagram or nothing, and every
//! fragment is counted once after each step.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const FIRST: u32 = 500;

fn key(number: u16) -> Key {
    Key {
        port: PortHandle(u32::from(number % 3)),
        vlan: 0,
        source: Ipv4Addr::new(10, 0, 0, 1),
        destination: Ipv4Addr::new(239, 1, 1, 1),
        identification: number,
        protocol: 17,
    }
}

fn fragment(key: &Key, offset: u32, len: u32, more: bool) -> Fragment {
    Fragment {
        source: key.source,
        destination: key.destination,
        protocol: key.protocol,
        identification: key.identification,
        offset,
        more,
        header_start: 14,
        header_len: 20,
        payload_start: 34,
        payload_len: len,
    }
}

/// Fragments, their bytes, and what is to come of them.
#[derive(Default)]
struct Model {
    offered: u64,
    joined: u64,
    held: u64,
    dropped: u64,
    /// The bytes of the spare buffers.
    spares: HashMap<u32, Vec<u8>>,
}

impl Model {
    /// Does what the worker does; the datagram, where it has become whole.
    fn offer(
        &mut self,
        reassembly: &mut Reassembly,
        key: Key,
        part: &Fragment,
        bytes: &[u8],
        now: Time,
    ) -> Option<Vec<u8>> {
        self.offered += 1;
        let range = |at: u32| at as usize..at as usize + bytes.len();
        let lost = match reassembly.offer(key, part, now) {
            Verdict::Place { spare, at, whole } => {
                let buffer = self.spares.entry(spare).or_insert_with(|| vec![0; 66_000]);
                buffer[range(at)].copy_from_slice(bytes);
                self.held += 1;
                let whole = whole?;
                self.held -= u64::from(whole.fragments);
                self.joined += u64::from(whole.fragments);
                assert_eq!(whole.header_len, 20);
                let len = whole.payload_len as usize;
                return Some(self.spares[&whole.spare][PAYLOAD_AT as usize..][..len].to_vec());
            }
            Verdict::Compare { spare, at } if self.spares[&spare][range(at)] == *bytes => 0,
            Verdict::Compare { .. } => reassembly.give_up(key),
            Verdict::Invalid { held } => held,
            Verdict::NoRoom => 0,
        };
        self.held -= u64::from(lost);
        self.dropped += 1 + u64::from(lost);
        None
    }

    fn check(&self, reassembly: &Reassembly) {
        assert_eq!(self.offered, self.joined + self.held + self.dropped);
        let held: u32 = reassembly.slots.iter().map(|slot| slot.fragments).sum();
        assert_eq!(self.held, u64::from(held));
        let with_buffer = reassembly.slots.iter().filter(|slot| slot.spare.is_some()).count();
        assert_eq!(with_buffer + reassembly.free.len() + reassembly.used.len(), SPARES);
        assert!(reassembly.slots.len() <= SPARES);
        let mut all: Vec<u32> = reassembly.slots.iter().filter_map(|slot| slot.spare).collect();
        all.extend(reassembly.free.iter().chain(&reassembly.used));
        all.sort_unstable();
        assert_eq!(all, (FIRST..).take(SPARES).collect::<Vec<_>>(), "each buffer in one place");
    }
}

fn payload(number: u16, len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 + usize::from(number) * 7) as u8).collect()
}

/// A datagram of so many bytes in parts of so many units of eight.
fn cut(number: u16, len: usize, units: &[usize]) -> Vec<(Key, Fragment, Vec<u8>)> {
    let (key, whole) = (key(number), payload(number, len));
    let mut parts = Vec::new();
    let mut at = 0;
    for &units in units.iter().cycle() {
        let end = len.min(at + units * 8);
        let part = fragment(&key, at as u32, (end - at) as u32, end < len);
        parts.push((key, part, whole[at..end].to_vec()));
        if end == len {
            return parts;
        }
        at = end;
    }
    parts
}

/// What the network does to one fragment.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Doubled,
    /// Comes also with other bytes.
    Forged,
    /// Comes also eight bytes off its place.
    Moved,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        20 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        2 => Just(Fate::Doubled),
        1 => Just(Fate::Forged),
        1 => Just(Fate::Moved),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_exact_datagram_or_nothing(
        datagrams in proptest::collection::vec(
            (1usize..4000, proptest::collection::vec(1usize..60, 1..6)), 1..90),
        fates in proptest::collection::vec(any_fate(), 1..60),
        seed in any::<u64>(),
        steps in proptest::collection::vec(0u64..300, 1..20),
    ) {
        let mut arriving: Vec<(Key, Fragment, Vec<u8>)> = Vec::new();
        let mut clean = vec![true; datagrams.len()];
        let mut fates = fates.iter().cycle();
        for (n, (len, units)) in datagrams.iter().enumerate() {
            for (key, part, bytes) in cut(n as u16, *len, units) {
                let fate = *fates.next().expect("a cycle");
                clean[n] &= matches!(fate, Fate::Arrives | Fate::Doubled);
                match fate {
                    Fate::Lost => continue,
                    Fate::Arrives => {}
                    Fate::Doubled => arriving.push((key, part, bytes.clone())),
                    Fate::Forged => {
                        let forged = bytes.iter().map(|byte| !byte).collect();
                        arriving.push((key, part, forged));
                    }
                    Fate::Moved => {
                        let moved = Fragment { offset: part.offset + 8, ..part };
                        arriving.push((key, moved, bytes.clone()));
                    }
                }
                arriving.push((key, part, bytes));
            }
        }
        // Shuffled, but not so far that everything times out.
        let mut random = seed | 1;
        for at in 0..arriving.len() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let other = (at + (random >> 33) as usize % 40).min(arriving.len() - 1);
            arriving.swap(at, other);
        }
        let mut reassembly = Reassembly::new(FIRST);
        let mut model = Model::default();
        let mut now = Time(0);
        for ((key, part, bytes), step) in arriving.iter().zip(steps.iter().cycle()) {
            now = now.plus(Duration::from_millis(*step));
            reassembly.expire(now, |_, fragments| {
                model.held -= u64::from(fragments);
                model.dropped += u64::from(fragments);
            });
            if reassembly.waits_for_release() {
                reassembly.release();
            }
            if let Some(whole) = model.offer(&mut reassembly, *key, part, bytes, now) {
                let number = key.identification;
                let (len, _) = datagrams[usize::from(number)];
                // A forged first fragment cannot be told from a true one: the UDP checksum of the
                // whole is what tells.
                if clean[usize::from(number)] {
                    prop_assert_eq!(whole, payload(number, len));
                }
            }
            model.check(&reassembly);
        }
        for port in 0..3 {
            let held = reassembly.close(PortHandle(port));
            model.held -= u64::from(held);
            model.dropped += u64::from(held);
            model.check(&reassembly);
        }
        prop_assert_eq!(model.held, 0);
        prop_assert!(!reassembly.is_waiting());
    }

    /// Without loss and lies every datagram comes out, whatever the order.
    #[test]
    fn every_datagram_that_is_all_there_comes_out(
        datagrams in proptest::collection::vec(
            (1usize..20_000, proptest::collection::vec(1usize..200, 1..6)), 1..SPARES),
        order in any::<u64>(),
    ) {
        let mut arriving: Vec<_> = datagrams
            .iter()
            .enumerate()
            .flat_map(|(n, (len, units))| cut(n as u16, *len, units))
            .collect();
        let mut random = order | 1;
        for at in (1..arriving.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            arriving.swap(at, (random >> 33) as usize % (at + 1));
        }
        let mut reassembly = Reassembly::new(FIRST);
        let mut model = Model::default();
        let mut out = 0;
        for (key, part, bytes) in &arriving {
            if let Some(whole) = model.offer(&mut reassembly, *key, part, bytes, Time(0)) {
                let number = key.identification;
                prop_assert_eq!(whole, payload(number, datagrams[usize::from(number)].0));
                out += 1;
                reassembly.release();
            }
        }
        model.check(&reassembly);
        prop_assert_eq!(out, datagrams.len());
        prop_assert_eq!(model.dropped, 0);
    }
}

#[test]
fn what_does_not_fit_a_datagram_is_invalid() {
    let key = key(1);
    // What is there already, and what is offered.
    let rows = [
        (vec![], (0, 0, true)),
        (vec![], (0, 12, true)),
        (vec![], (65_528, 8, false)),
        (vec![], (65_512, 4, false)),
        (vec![(0, 16, true)], (8, 16, true)),
        (vec![(16, 16, true)], (0, 24, true)),
        (vec![(16, 8, false)], (24, 8, true)),
        (vec![(16, 8, false)], (0, 8, false)),
        (vec![(32, 8, true)], (0, 16, false)),
        (vec![(0, 24, true)], (16, 8, false)),
        (vec![(16, 8, false)], (16, 8, true)),
    ];
    for (there, (offset, len, more)) in rows {
        let mut reassembly = Reassembly::new(FIRST);
        for &(offset, len, more) in &there {
            let verdict = reassembly.offer(key, &fragment(&key, offset, len, more), Time(0));
            assert!(matches!(verdict, Verdict::Place { whole: None, .. }), "{there:?}");
        }
        let held = there.len() as u32;
        let offered = fragment(&key, offset, len, more);
        let verdict = reassembly.offer(key, &offered, Time(0));
        assert_eq!(verdict, Verdict::Invalid { held }, "{there:?} {offset} {len} {more}");
        // Nothing of this datagram is taken until its time is over.
        let good = fragment(&key, 0, 8, true);
        assert_eq!(reassembly.offer(key, &good, Time(0)), Verdict::Invalid { held: 0 });
        assert_eq!(reassembly.free.len(), SPARES, "its buffer is free");
        reassembly.expire(Time(0).plus(TIMEOUT), |_, fragments| assert_eq!(fragments, 0));
        let verdict = reassembly.offer(key, &good, Time(0));
        assert!(matches!(verdict, Verdict::Place { .. }));
    }
}

#[test]
fn the_longest_datagram_fits_and_its_place_in_the_buffer_does_too() {
    let key = key(1);
    let mut reassembly = Reassembly::new(FIRST);
    let last = Fragment { payload_len: 3, ..fragment(&key, 65_512, 0, false) };
    let Verdict::Place { at, .. } = reassembly.offer(key, &last, Time(0)) else { panic!("fits") };
    assert!(at as usize + 3 <= crate::dataplane::backend::BUFFER_LEN);
    let rest = fragment(&key, 0, 65_512, true);
    let Verdict::Place { whole: Some(whole), .. } = reassembly.offer(key, &rest, Time(0)) else {
        panic!("it is whole")
    };
    assert_eq!((whole.payload_len, whole.fragments), (65_515, 2));
}

#[test]
fn what_was_given_up_makes_room_and_no_attack_fills_the_table() {
    let mut reassembly = Reassembly::new(FIRST);
    for number in 0..500 {
        let key = key(number);
        let bad = fragment(&key, 0, 12, true);
        let verdict = reassembly.offer(key, &bad, Time(u64::from(number)));
        assert_eq!(verdict, Verdict::Invalid { held: 0 });
        assert!(reassembly.slots.len() <= SPARES);
    }
    for number in 1000..1000 + SPARES as u16 + 1 {
        let key = key(number);
        let verdict = reassembly.offer(key, &fragment(&key, 0, 8, true), Time(1000));
        let fits = number < 1000 + SPARES as u16;
        assert_eq!(matches!(verdict, Verdict::Place { .. }), fits, "{number} {verdict:?}");
        assert_eq!(verdict == Verdict::NoRoom, !fits);
    }
}
