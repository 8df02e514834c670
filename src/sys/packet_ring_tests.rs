//! Rings on a real interface: order, frames longer than a slot, tags, a reader after another.

use super::*;
use crate::sys::packet;
use crate::sys::test_frames::{number, send, sender};
use crate::sys::test_namespace::{ip, run};
use std::os::fd::{AsFd, OwnedFd};

const LEAST_SLOTS: u32 = LEAST / SLOT_LEN as u32;

/// A socket with the smallest ring at `there`, and one to send frames from at `here`.
fn pair(mtu: u32) -> (OwnedFd, OwnedFd, u32) {
    ip("link add here type veth peer name there");
    for name in ["here", "there"] {
        // Nothing of its own comes in between.
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1")
            .expect("is there");
        ip(&format!("link set {name} mtu {mtu} up"));
    }
    let index = |name| nix::net::if_::if_nametoindex(name).expect("is there");
    let receiver = packet::socket().expect("opens");
    packet::set_receive_options(receiver.as_fd()).expect("is set");
    give_ring(receiver.as_fd(), LEAST).expect("is given");
    packet::bind(receiver.as_fd(), index("there")).expect("binds");
    (receiver, sender(), index("here"))
}

/// Takes a frame that is in its slot; its number and length.
fn take(ring: &mut PacketRing) -> Option<(u32, u32)> {
    let taken = ring.take()?;
    assert_eq!(taken.extent, Extent::Whole);
    let start = taken.start as usize;
    let bytes = &ring.slot(taken.slot)[start..start + taken.len as usize];
    let seen = (number(bytes).expect("one of ours"), taken.len);
    ring.give(taken.slot);
    Some(seen)
}

#[test]
fn frames_come_in_order_more_often_round_than_there_are_slots() {
    run(|| {
        let (receiver, sender, here) = pair(1500);
        assert!(has_ring(receiver.as_fd()) && !has_ring(sender.as_fd()));
        let mut ring = PacketRing::of(receiver.as_fd()).expect("maps").expect("has one");
        assert_eq!(ring.slots(), LEAST_SLOTS);
        assert_eq!(take(&mut ring), None);
        for round in 0..5 {
            let numbers = round * 20..(round + 1) * 20;
            numbers.clone().for_each(|n| send(&sender, here, n, 100 + n as usize));
            let seen: Vec<_> = std::iter::from_fn(|| take(&mut ring)).collect();
            assert_eq!(seen, numbers.map(|n| (n, 100 + n)).collect::<Vec<_>>());
        }
        assert_eq!(packet::take_statistics(receiver.as_fd()).expect("is told"), (100, 0));
    });
}

#[test]
fn slots_that_are_not_given_back_are_not_written_and_the_kernel_counts_what_it_drops() {
    run(|| {
        let (receiver, sender, here) = pair(1500);
        let mut ring = PacketRing::of(receiver.as_fd()).expect("maps").expect("has one");
        (0..LEAST_SLOTS + 5).for_each(|n| send(&sender, here, n, 60));
        let taken: Vec<Taken> = std::iter::from_fn(|| ring.take()).collect();
        assert_eq!(taken.len(), LEAST_SLOTS as usize);
        assert_eq!(
            packet::take_statistics(receiver.as_fd()).expect("is told"),
            (u64::from(LEAST_SLOTS) + 5, 5)
        );
        let bytes = |ring: &PacketRing, taken: &Taken| {
            ring.slot(taken.slot).get(taken.start as usize..).and_then(number)
        };
        for (taken, expected) in taken.iter().zip(0..) {
            assert_eq!(bytes(&ring, taken), Some(expected));
        }
        // Given back, it has no bytes for us; given back twice is given back once.
        ring.give(taken[0].slot);
        assert!(ring.slot(taken[0].slot).is_empty() && ring.slot_mut(taken[0].slot).is_empty());
        ring.give(taken[0].slot);
        send(&sender, here, 1000, 60);
        send(&sender, here, 1001, 60);
        assert_eq!(take(&mut ring), Some((1000, 60)));
        assert_eq!(take(&mut ring), None);
        assert!(ring.slot(LEAST_SLOTS).is_empty());
    });
}

#[test]
fn what_is_longer_than_a_slot_is_queued_beside_in_the_same_order() {
    run(|| {
        let (receiver, sender, here) = pair(9000);
        let mut ring = PacketRing::of(receiver.as_fd()).expect("maps").expect("has one");
        let lengths = [60, 1900, 5000, 61, 9000, 8999, 62];
        lengths.iter().zip(0..).for_each(|(len, n)| send(&sender, here, n, *len));
        let mut buffer = vec![0; 10_000];
        for (len, n) in lengths.iter().zip(0..) {
            let taken = ring.take().expect("one more");
            assert_eq!(taken.extent == Extent::Queued, *len > SLOT_LEN, "{len}");
            if taken.extent == Extent::Queued {
                let got = packet::receive_one(receiver.as_fd(), &mut buffer).expect("is queued");
                assert_eq!((got, number(&buffer[10..])), (len + 10, Some(n)));
            }
            ring.give(taken.slot);
        }
        assert_eq!(ring.take(), None);
        let error = packet::receive_one(receiver.as_fd(), &mut buffer).expect_err("empty");
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        // Without room for the rest.
        packet::set_option(receiver.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &1i32)
            .expect("is set");
        (0..3).for_each(|n| send(&sender, here, n, 9000));
        let extents: Vec<_> =
            std::iter::from_fn(|| ring.take()).map(|taken| taken.extent).collect();
        assert_eq!(extents[1..], [Extent::Cut; 2]);
    });
}

#[test]
fn another_reader_goes_on_where_the_last_one_has_stopped() {
    run(|| {
        let (receiver, sender, here) = pair(1500);
        let mut next = 0;
        // Empty, partly full, full; with the first slot at every place.
        for waiting in (0..=LEAST_SLOTS).chain([1, LEAST_SLOTS - 1, LEAST_SLOTS]) {
            (next..next + waiting).for_each(|n| send(&sender, here, n, 60));
            let mut ring = PacketRing::of(receiver.as_fd()).expect("maps").expect("has one");
            let seen: Vec<_> = std::iter::from_fn(|| take(&mut ring)).map(|(n, _)| n).collect();
            assert_eq!(seen, (next..next + waiting).collect::<Vec<_>>());
            next += waiting;
        }
    });
}

#[test]
fn what_a_reader_had_taken_goes_back_with_it() {
    run(|| {
        let (receiver, sender, here) = pair(1500);
        let mut ring = PacketRing::of(receiver.as_fd()).expect("maps").expect("has one");
        (0..4).for_each(|n| send(&sender, here, n, 60));
        assert!(ring.take().is_some() && ring.take().is_some());
        drop(ring);
        let mut ring = PacketRing::of(receiver.as_fd()).expect("maps").expect("has one");
        assert_eq!(take(&mut ring), Some((2, 60)));
    });
}

#[test]
fn all_is_thrown_away_and_counted() {
    run(|| {
        let (receiver, sender, here) = pair(9000);
        for (len, n) in [60, 5000, 61, 9000].into_iter().zip(0..) {
            send(&sender, here, n, len);
        }
        assert_eq!(discard(receiver.as_fd()), Some(4));
        assert_eq!(discard(receiver.as_fd()), Some(0));
        assert_eq!(discard(sender.as_fd()), None);
        let error = packet::receive_one(receiver.as_fd(), &mut [0; 64]).expect_err("empty");
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    });
}
