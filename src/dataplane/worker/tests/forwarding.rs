//! What leaves, when, and where it is counted.

use super::*;

#[test]
fn a_datagram_leaves_as_the_table_says() {
    let mut bytes = packet(9, group(1), 7, b"hello");
    // DSCP 46 with ECN 3: the ECN bits stay behind.
    bytes[15] = 46 << 2 | 3;
    let meta = FrameMeta { flags: DATA_VALID, ..FrameMeta::plain(LinkLayer::Ethernet) };
    bytes[24..26].fill(0);
    let sum = !crate::wire::checksum::Sum::default().bytes(&bytes[14..34]).fold();
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    let outcome = run(
        vec![
            start(vec![to(4, Ttl::Set(33)), unicast()]),
            frames(vec![(0, About::Packet(meta), bytes)]),
        ],
        sent,
    );
    let first = Seen {
        to: SocketAddrV4::new(group(1), 5000),
        oif: 4,
        source: Ipv4Addr::new(10, 0, 9, 1),
        ttl: 33,
        tos: 46 << 2,
        payload: b"hello".to_vec(),
    };
    let second = Seen {
        to: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 6000),
        oif: 0,
        source: Ipv4Addr::UNSPECIFIED,
        ttl: 16,
        ..first.clone()
    };
    assert_eq!(outcome.log.sent, [first, second]);
    let rule = outcome.report.slots.rules[0];
    assert_eq!((rule.datagrams, rule.bytes), (1, 5));
    assert_eq!((outcome.report.worker.sends, outcome.report.worker.frames), (2, 1));
    assert_eq!((outcome.report.worker.egress_sockets, outcome.log.recycled), (2, 1));
}

#[test]
fn ttl_is_set_kept_or_decremented_and_never_leaves_as_zero() {
    // Output TTL, arriving TTL, leaving TTL.
    let rows = [
        (Ttl::Set(16), 1, Some(16)),
        (Ttl::Set(255), 0, Some(255)),
        (Ttl::Keep, 1, Some(1)),
        (Ttl::Keep, 200, Some(200)),
        (Ttl::Keep, 0, None),
        (Ttl::Decrement, 2, Some(1)),
        (Ttl::Decrement, 255, Some(254)),
        (Ttl::Decrement, 1, None),
        (Ttl::Decrement, 0, None),
    ];
    for (ttl, arriving, leaving) in rows {
        let outcome = run(vec![start(vec![to(4, ttl)]), one(arriving)], sent);
        let seen: Vec<u8> = outcome.log.sent.iter().map(|seen| seen.ttl).collect();
        assert_eq!(seen, leaving.into_iter().collect::<Vec<_>>(), "{ttl} from {arriving}");
        let expired = u64::from(leaving.is_none());
        let output = outcome.output(0);
        assert_eq!((output.wanted, output.drops.get(DropReason::TtlExpired)), (1, expired));
    }
}

#[test]
fn our_own_packets_and_those_that_nobody_wants_are_counted_in_datagrams() {
    let outcome = run(
        vec![
            start(vec![to(4, Ttl::Keep)]),
            frames(vec![
                (0, super_frame(10), packet(1, group(1), 9, &[1; 25])),
                (0, super_frame(10), packet(9, group(2), 9, &[1; 45])),
                (0, PLAIN, b"short".to_vec()),
            ]),
        ],
        |_| panic!("nothing is sent"),
    );
    let port = outcome.port(0);
    assert_eq!(port.drops.get(DropReason::OwnSource), 3);
    assert_eq!(port.drops.get(DropReason::NoRule), 5);
    assert_eq!(port.drops.get(DropReason::Runt), 1);
    assert_eq!((port.frames, port.datagrams, port.matched), (3, 8, 0));
    assert_eq!((port.super_frames, port.partial_checksums), (2, 2));
}

#[test]
fn a_super_frame_leaves_as_one_train_to_each_output() {
    let payload: Vec<u8> = (0..25).collect();
    let outputs = [4, 5, 6].map(|oif| to(oif, Ttl::Keep));
    let turns = vec![
        start(outputs.to_vec()),
        frames(vec![(0, super_frame(10), packet(9, group(1), 9, &payload))]),
    ];
    // The second output refuses.
    let mut n = 0;
    let outcome = run(turns, |request| {
        n += 1;
        assert_eq!(request.segment, 10);
        if n == 2 { Answer::Errno(libc::EAGAIN) } else { sent(request) }
    });
    let payloads: Vec<_> = outcome.log.sent.iter().map(|s| (s.oif, s.payload.clone())).collect();
    let chunks = || payload.chunks(10).map(<[u8]>::to_vec);
    let expected = [4, 6].into_iter().flat_map(|oif| chunks().map(move |chunk| (oif, chunk)));
    assert_eq!(payloads, expected.collect::<Vec<_>>());
    assert_eq!(outcome.log.trains, [3, 3]);
    for slot in 0..3 {
        let output = outcome.output(slot);
        let (sent, dropped) = if slot == 1 { (0, 3) } else { (3, 0) };
        assert_eq!((output.wanted, output.sent), (3, sent));
        assert_eq!(output.bytes, if slot == 1 { 0 } else { 25 });
        assert_eq!(output.drops.get(DropReason::SendBufferFull), dropped);
    }
    let rule = outcome.report.slots.rules[0];
    assert_eq!((rule.datagrams, rule.bytes), (3, 25));
    assert_eq!(outcome.report.worker.sends, 3);
}

#[test]
fn more_copies_than_fit_are_flushed_in_the_middle() {
    let frame = |n: usize| {
        let payload: Vec<u8> = (0..100u32).flat_map(|at| [n as u8, at as u8]).collect();
        (0, super_frame(2), packet(9, group(1), 9, &payload))
    };
    let batch = (0..25).map(frame).collect();
    // An MTU that no two of them fit together.
    let small = Action::Send(Send { mtu: Some(29), ..sent_on(4, Ttl::Keep) });
    let outcome = run(vec![start(vec![small]), frames(batch)], sent);
    assert_eq!(outcome.log.flushes, [SENDS, SENDS, 2500 - 2 * SENDS]);
    let numbers = outcome
        .log
        .sent
        .iter()
        .map(|s| usize::from(s.payload[0]) * 100 + usize::from(s.payload[1]));
    let numbers: Vec<_> = numbers.collect();
    assert_eq!(numbers, (0..2500).collect::<Vec<_>>(), "all, in order");
    assert_eq!((outcome.output(0).wanted, outcome.output(0).sent), (2500, 2500));
    assert_eq!(outcome.log.recycled, 25);
}

#[test]
fn a_table_takes_effect_between_batches_and_resets_what_has_a_new_owner() {
    let two = |generation| {
        let rules = [(1, group(1), vec![to(4, Ttl::Keep)]), (1, group(2), vec![to(5, Ttl::Keep)])];
        table(generation, &rules)
    };
    let both = || {
        vec![(0, PLAIN, packet(9, group(1), 9, b"one")), (0, PLAIN, packet(9, group(2), 9, b"two"))]
    };
    let second = Turn {
        frames: both(),
        // Comes in while the batch is under way.
        commands: vec![ToWorker::Publish {
            meters: Arc::default(),
            fib: Arc::new(two(2)),
            reset_rules: vec![RuleSlot(0)],
            reset_outputs: vec![OutputSlot(0)],
        }],
        ..Turn::default()
    };
    let outcome = run(vec![start(vec![to(4, Ttl::Keep)]), second, frames(both())], sent);
    let programmed: Vec<u64> = outcome
        .messages
        .iter()
        .filter_map(|message| match message {
            FromWorker::Programmed(generation) => Some(*generation),
            _ => None,
        })
        .collect();
    assert_eq!(programmed, [1, 2]);
    assert_eq!(outcome.log.sent.len(), 3, "the first batch went by the first table");
    assert_eq!(outcome.port(0).drops.get(DropReason::NoRule), 1);
    for slot in 0..2 {
        assert_eq!(outcome.report.slots.rules[slot].datagrams, 1);
        assert_eq!(outcome.output(slot as u32).wanted, 1);
    }
}

#[test]
fn a_slot_that_is_not_reset_counts_on() {
    let again = Turn {
        commands: vec![publish(table(2, &[(1, group(1), vec![to(4, Ttl::Keep)])]))],
        ..one(9)
    };
    let outcome = run(vec![start(vec![to(4, Ttl::Keep)]), again, one(9)], sent);
    assert_eq!((outcome.output(0).wanted, outcome.report.slots.rules[0].datagrams), (2, 2));
}

#[test]
fn payloads_of_a_bound_socket_are_relayed_too() {
    let about = |segment, truncated| About::Udp {
        source: SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 9), 40_000),
        ttl: 7,
        tos: 3,
        segment,
        truncated,
    };
    let fib = table(1, &[(1, *LOCAL.ip(), vec![to(4, Ttl::Decrement)])]);
    let commands = vec![open(0, Ingress::Udp(LOCAL)), publish(fib)];
    let batch = vec![
        (0, about(0, false), b"whole".to_vec()),
        (0, about(4, false), b"joined".to_vec()),
        (0, about(0, false), Vec::new()),
        (0, about(0, true), b"cut".to_vec()),
    ];
    let outcome = run(vec![Turn { commands, ..Turn::default() }, frames(batch)], sent);
    let seen: Vec<_> =
        outcome.log.sent.iter().map(|s| (s.payload.as_slice(), s.ttl, s.tos, s.to)).collect();
    assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), [&b"whole"[..], b"join", b"ed", b""]);
    assert!(seen.iter().all(|s| (s.1, s.2, s.3) == (6, 0, LOCAL)));
    let port = outcome.port(0);
    assert_eq!((port.frames, port.datagrams, port.matched, port.super_frames), (4, 4, 4, 1));
    assert_eq!(port.drops.get(DropReason::Truncated), 1);
}

#[test]
fn ports_come_fail_and_go() {
    let error = || io::Error::from_raw_os_error(libc::ENETDOWN);
    let first = Turn {
        commands: vec![open(0, PACKET), open(1, PACKET), open(90, UNOPENABLE)],
        ..Turn::default()
    };
    let second = Turn {
        events: vec![
            PortEvent::Refused(PortHandle(0), libc::EINVAL),
            PortEvent::Failed(PortHandle(1), error()),
            PortEvent::Closed(PortHandle(1), queue(0)),
            PortEvent::Closed(PortHandle(9), queue(0)),
        ],
        commands: vec![ToWorker::Close(PortId(0)), ToWorker::Close(PortId(1)), ToWorker::Age],
        ..Turn::default()
    };
    let third =
        Turn { events: vec![PortEvent::Closed(PortHandle(0), queue(0))], ..Turn::default() };
    let outcome = run(vec![first, second, third], sent);
    let closed: Vec<_> = outcome
        .messages
        .iter()
        .filter_map(|message| match message {
            FromWorker::Closed { port, counters, failure } => {
                Some((port.0, counters.frames, failure.is_some()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(closed, [(90, 0, true), (1, 0, true), (0, 1, false)]);
    assert_eq!(outcome.log.closed, [PortHandle(0)], "the other one is closed already");
    assert!(outcome.report.ports.is_empty());
}
