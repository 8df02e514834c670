//! Fragments that come in: each is in one place of the ledger, always.

use super::*;
use crate::dataplane::reassembly::TIMEOUT;

/// The UDP datagram of `payload` in fragments of `size` bytes, with this number.
fn cut(number: u16, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let whole = packet(9, group(1), 9, payload);
    let udp = &whole[34..];
    let count = udp.len().div_ceil(size);
    let parts = udp.chunks(size).enumerate().map(|(n, part)| {
        let mut frame = [&whole[..34], part].concat();
        frame[16..18].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        frame[18..20].copy_from_slice(&number.to_be_bytes());
        let more = if n + 1 < count { 0x2000 } else { 0 };
        frame[20..22].copy_from_slice(&(more | (n * size / 8) as u16).to_be_bytes());
        frame[24..26].fill(0);
        let sum = !crate::wire::checksum::Sum::default().bytes(&frame[14..34]).fold();
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    });
    parts.collect()
}

fn plain(bytes: Vec<u8>) -> (u32, About, Vec<u8>) {
    (0, PLAIN, bytes)
}

fn start_one() -> Turn {
    start(vec![to(4, Ttl::Keep)])
}

#[track_caller]
fn closes(port: &PortCounters) {
    let dropped: u64 = port
        .drops
        .iter()
        .filter(|(reason, _)| matches!(reason.stage(), DropStage::Port | DropStage::Frame))
        .map(|(_, n)| n)
        .sum();
    assert_eq!(port.frames, port.whole + port.joined + port.held + dropped, "{port:?}");
}

#[test]
fn fragments_in_any_order_become_a_datagram() {
    let payload: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
    let mut parts = cut(7, &payload, 1000);
    parts.reverse();
    parts.rotate_left(2);
    let count = parts.len() as u64;
    let outcome = run(vec![start_one(), frames(parts.into_iter().map(plain).collect())], sent);
    let payloads: Vec<_> = outcome.log.sent.iter().map(|seen| &seen.payload).collect();
    assert_eq!(payloads, [&payload]);
    assert_eq!(outcome.log.sent[0].to.port(), 5000);
    let port = outcome.port(0);
    assert_eq!((port.whole, port.joined, port.held), (0, count, 0));
    assert_eq!((port.datagrams, port.matched), (1, 1));
    closes(port);
    assert_eq!(outcome.log.recycled as u64, count);
}

#[test]
fn datagrams_of_one_batch_do_not_mix_and_buffers_come_back() {
    // Many more than there are spare buffers, in one batch.
    let payload = |n: u16| vec![n as u8; 3000];
    let batch: Vec<_> = (0..200).flat_map(|n| cut(n, &payload(n), 1480)).map(plain).collect();
    let outcome = run(vec![start_one(), frames(batch)], sent);
    assert_eq!(outcome.log.sent.len(), 200);
    for (n, seen) in outcome.log.sent.iter().enumerate() {
        assert_eq!(seen.payload, payload(n as u16));
    }
    assert_eq!(outcome.port(0).joined, 600);
    closes(outcome.port(0));
}

#[test]
fn a_datagram_that_stays_incomplete_is_given_up_in_time() {
    let parts = || cut(7, &[1; 3000], 1480);
    let seconds = TIMEOUT.as_secs();
    let first = || Turn { at: Some(10), ..frames(vec![plain(parts().remove(0))]) };
    let collect =
        |at| Turn { commands: vec![ToWorker::Collect(1)], at: Some(at), ..Turn::default() };
    // What the report says before and after its time.
    let outcome =
        run(vec![start_one(), first(), collect(9 + seconds), collect(10 + seconds)], sent);
    let held: Vec<_> = outcome
        .messages
        .iter()
        .filter_map(|message| match message {
            FromWorker::Report(report) => Some(&report.ports[0].1),
            _ => None,
        })
        .map(|port| {
            closes(port);
            (port.held, port.drops.get(DropReason::FragmentTimeout))
        })
        .collect();
    assert_eq!(held, [(1, 0), (0, 1)]);
    // The rest comes too late, and begins anew; Age gives it up too.
    let late =
        Turn { at: Some(10 + seconds), ..frames(parts().into_iter().skip(1).map(plain).collect()) };
    let age = Turn { commands: vec![ToWorker::Age], at: Some(10 + 2 * seconds), ..Turn::default() };
    let outcome = run(vec![start_one(), first(), late, age], sent);
    let port = outcome.port(0);
    assert_eq!((port.held, port.drops.get(DropReason::FragmentTimeout)), (0, 3));
    assert!(outcome.log.sent.is_empty());
    closes(port);
}

#[test]
fn the_clock_is_read_only_for_fragments() {
    run(vec![start_one(), one(9), one(9)], sent);
    assert_eq!(CLOCK.get().1, 0);
    run(vec![start_one(), frames(cut(1, &[1; 3000], 1480).into_iter().map(plain).collect())], sent);
    assert_eq!(CLOCK.get().1, 3);
}

#[test]
fn beyond_the_budget_new_datagrams_are_refused() {
    let firsts = (0..SPARES as u16 + 5).map(|n| plain(cut(n, &[1; 3000], 1480).remove(0)));
    let mut batch: Vec<_> = firsts.collect();
    // Those that are there already go on.
    batch.extend(cut(0, &[1; 3000], 1480).into_iter().skip(1).map(plain));
    let outcome = run(vec![start_one(), frames(batch)], sent);
    let port = outcome.port(0);
    assert_eq!(port.drops.get(DropReason::FragmentBudget), 5);
    assert_eq!((port.joined, port.held), (3, SPARES as u64 - 1));
    assert_eq!(outcome.log.sent.len(), 1);
    closes(port);
}

#[test]
fn a_repeat_is_dropped_alone_and_a_contradiction_with_everything() {
    let parts = cut(7, &[1; 3000], 1480);
    let mut other = parts[0].clone();
    other[60] ^= 1;
    // (fragments, joined, invalid)
    let rows: [(Vec<&Vec<u8>>, u64, u64); 4] = [
        (vec![&parts[0], &parts[0], &parts[1], &parts[1], &parts[2]], 3, 2),
        (vec![&parts[2], &parts[2], &parts[0], &parts[1]], 3, 1),
        // The same place, other bytes: whoever comes later finds it given up.
        (vec![&parts[0], &other, &parts[1], &parts[2]], 0, 4),
        (vec![&parts[0], &parts[1], &other, &parts[2]], 0, 4),
    ];
    for (n, (fragments, joined, invalid)) in rows.into_iter().enumerate() {
        let batch = fragments.into_iter().cloned().map(plain).collect();
        let outcome = run(vec![start_one(), frames(batch)], sent);
        let port = outcome.port(0);
        let seen = (port.joined, port.drops.get(DropReason::FragmentInvalid), port.held);
        assert_eq!(seen, (joined, invalid, 0), "row {n}");
        assert_eq!(outcome.log.sent.len() as u64, joined / 3);
        closes(port);
    }
}

#[test]
fn the_checksum_of_the_whole_is_verified() {
    let mut parts = cut(7, &[1; 3000], 1480);
    parts[1][100] ^= 1;
    let outcome = run(vec![start_one(), frames(parts.into_iter().map(plain).collect())], sent);
    let port = outcome.port(0);
    assert_eq!((port.joined, port.drops.get(DropReason::UdpChecksum)), (0, 3));
    assert!(outcome.log.sent.is_empty());
    closes(port);
}

#[test]
fn a_port_that_closes_drops_what_it_holds() {
    let parts = cut(7, &[1; 3000], 1480);
    let second =
        Turn { events: vec![PortEvent::Closed(PortHandle(0), queue(4))], ..Turn::default() };
    let batch = parts[..2].iter().cloned().map(plain).collect();
    let outcome = run(vec![start_one(), frames(batch), second], sent);
    let closed = outcome.messages.iter().find_map(|message| match message {
        FromWorker::Closed { counters, .. } => Some(counters),
        _ => None,
    });
    let port = closed.expect("it is closed");
    assert_eq!((port.frames, port.held, port.drops.get(DropReason::PortClosed)), (6, 0, 6));
    closes(port);
}

#[test]
fn a_port_that_is_given_back_keeps_its_queue_and_counts_on() {
    let first = Turn { commands: vec![ToWorker::Release(PortId(0))], ..Turn::default() };
    let second =
        Turn { events: vec![PortEvent::Closed(PortHandle(0), queue(4))], ..Turn::default() };
    let outcome = run(vec![start_one(), one(9), first, second], sent);
    let port = outcome.messages.iter().find_map(|message| match message {
        FromWorker::Released(port) => Some(port),
        FromWorker::Closed { .. } => panic!("closed"),
        _ => None,
    });
    let port = port.expect("it is given back");
    assert_eq!((port.id, port.iif, port.ingress), (PortId(0), IfIndex(1), PACKET));
    assert_eq!((port.counters.frames, port.counters.whole), (1, 1));
    closes(&port.counters);
    assert_eq!(
        crate::sys::packet::discard_queued(port.socket.as_fd()),
        4,
        "nothing is thrown away"
    );
}

#[test]
fn fragments_of_two_vlans_do_not_mix() {
    let parts = cut(7, &[1; 3000], 1480);
    let tagged = |vlan| {
        About::Packet(FrameMeta { vlan: Some(vlan), ..FrameMeta::plain(LinkLayer::Ethernet) })
    };
    let batch = vec![
        (0, tagged(0), parts[0].clone()),
        (0, tagged(5), parts[1].clone()),
        (0, tagged(0), parts[2].clone()),
    ];
    let outcome = run(vec![start_one(), frames(batch.clone())], sent);
    let port = outcome.port(0);
    assert_eq!((port.drops.get(DropReason::VlanTag), port.held), (1, 2));
    closes(port);
    let mut builder = Builder::default();
    builder.rule(resolved(0, 1, group(1), VlanFilter::Any, &[to(4, Ttl::Keep)], 0));
    let commands = vec![open(0, PACKET), publish(builder.build(1).fib)];
    let mut batch = batch;
    batch.extend(parts.iter().map(|part| (0, tagged(5), part.clone())));
    let outcome = run(vec![Turn { commands, ..Turn::default() }, frames(batch)], sent);
    let port = outcome.port(0);
    // Of VLAN 5 all are there, and the middle one twice.
    assert_eq!((port.joined, port.held, port.drops.get(DropReason::FragmentInvalid)), (3, 2, 1));
    assert_eq!(outcome.log.sent.len(), 1);
    closes(port);
}
