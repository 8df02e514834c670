//! Random frames and answers: the sums come out.

use super::*;

/// One frame of a random batch.
#[derive(Clone, Debug)]
struct Shot {
    port: u32,
    source: u8,
    group: u8,
    ttl: u8,
    len: usize,
    segment: Option<u16>,
    /// Which byte is broken.
    broken: Option<usize>,
}

fn any_shot() -> impl Strategy<Value = Shot> {
    let segment = proptest::option::weighted(0.4, 0u16..300);
    let broken = proptest::option::weighted(0.2, 0usize..60);
    (0u32..2, 0u8..4, 0u8..4, 0u8..4, 0usize..600, segment, broken).prop_map(
        |(port, source, group, ttl, len, segment, broken)| Shot {
            port,
            source,
            group,
            ttl,
            len,
            segment,
            broken,
        },
    )
}

impl Shot {
    fn frame(&self) -> (u32, About, Vec<u8>) {
        let payload: Vec<u8> = (0..self.len).map(|n| n as u8).collect();
        let mut bytes = packet(self.source, group(self.group), self.ttl, &payload);
        if let Some(byte) = self.broken.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 0x11;
        }
        (self.port, self.segment.map_or(PLAIN, super_frame), bytes)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_and_every_copy_is_accounted_for(
        batches in proptest::collection::vec(proptest::collection::vec(any_shot(), 0..24), 1..5),
        answers in proptest::collection::vec(0u8..12, 1..40),
    ) {
        let actions = vec![
            to(4, Ttl::Keep),
            to(5, Ttl::Decrement),
            unicast(),
            packets::link(),
            packets::raw(),
            Action::Drop(DropReason::NoCarrier),
        ];
        let rules = [
            (1, group(1), actions.clone()),
            (1, group(2), vec![to(4, Ttl::Set(9))]),
            (2, group(1), actions),
        ];
        let commands = vec![open(0, PACKET), open(1, PACKET), publish(table(1, &rules))];
        let mut turns = vec![Turn { commands, ..Turn::default() }];
        let shots: Vec<&Shot> = batches.iter().flatten().collect();
        for batch in &batches {
            turns.push(frames(batch.iter().map(Shot::frame).collect()));
        }
        let mut next = answers.iter().cycle();
        let outcome = run(turns, |_| match next.next() {
            Some(0) => Answer::Errno(libc::ECONNREFUSED),
            Some(1) => Answer::Errno(libc::EAGAIN),
            Some(2) => Answer::Unqueued,
            Some(3) => Answer::Errno(libc::EIO),
            _ => Answer::Sent,
        });
        let mut all_matched = 0;
        for id in 0..2 {
            let port = outcome.port(id);
            let mine: Vec<_> =
                shots.iter().filter(|shot| shot.port == id).map(|shot| shot.frame()).collect();
            let decoded: Vec<Datagram> = mine
                .iter()
                .filter_map(|(_, about, bytes)| match about {
                    About::Packet(meta) => match decode::decode(bytes, meta) {
                        Ok(Packet::Whole(datagram)) => Some(datagram),
                        _ => None,
                    },
                    About::Udp { .. } => None,
                })
                .collect();
            let dropped = |stage| {
                let drops = port.drops.iter().filter(|(reason, _)| reason.stage() == stage);
                drops.map(|(_, n)| n).sum::<u64>()
            };
            prop_assert_eq!(port.frames, mine.len() as u64);
            prop_assert_eq!(port.whole, decoded.len() as u64);
            let sum = port.whole + port.joined + port.held;
            prop_assert_eq!(port.frames, sum + dropped(DropStage::Frame));
            prop_assert_eq!(port.datagrams, decoded.iter().map(Datagram::count).sum::<u64>());
            prop_assert_eq!(port.datagrams, port.matched + dropped(DropStage::Lookup));
            prop_assert_eq!(dropped(DropStage::Output), 0);
            all_matched += port.matched;
        }
        let slots = &outcome.report.slots;
        prop_assert_eq!(slots.rules.iter().map(|rule| rule.datagrams).sum::<u64>(), all_matched);
        // Outputs 0 to 5 belong to the first rule, 6 to the second, 7 to 12 to the third.
        for (n, output) in slots.outputs.iter().enumerate() {
            let owner = if n < 6 { 0 } else if n < 7 { 1 } else { 2 };
            prop_assert_eq!(output.wanted, slots.rules[owner].datagrams);
            let drops: u64 = output.drops.iter().map(|(_, n)| n).sum();
            prop_assert_eq!(output.wanted, output.sent + drops);
            let stages = output.drops.iter().all(|(reason, _)| reason.stage() == DropStage::Output);
            prop_assert!(stages);
        }
        let sum = |of: fn(&OutputCounters) -> u64| slots.outputs.iter().map(of).sum::<u64>();
        prop_assert_eq!(sum(|output| output.sent), (outcome.log.sent.len() + outcome.log.packets.len()) as u64);
        let by_sockets = outcome.log.sent.iter().map(|seen| seen.payload.len());
        let by_headers = outcome.log.packets.iter().map(|(to, bytes)| packets::payload(to, bytes));
        let bytes: usize = by_sockets.chain(by_headers).sum();
        prop_assert_eq!(sum(|output| output.bytes), bytes as u64);
        prop_assert_eq!(outcome.log.recycled, shots.len());
    }
}
