//! The programs, run by a machine of our own.

use super::*;
use ipnet::Ipv4Net;
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// A classic BPF machine for the instructions in use; out of bounds loads refuse (filter.txt).
fn run(program: &[sock_filter], frame: &[u8]) -> u32 {
    let (mut at, mut a) = (0usize, 0u32);
    let load = |offset: u32, len: usize| {
        let bytes = frame.get(offset as usize..offset as usize + len)?;
        Some(bytes.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)))
    };
    loop {
        let i = program[at];
        at += 1;
        let taken = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
        match i.code {
            LOAD_BYTE | LOAD_HALF | LOAD_WORD => {
                let len = match i.code {
                    LOAD_BYTE => 1,
                    LOAD_HALF => 2,
                    _ => 4,
                };
                match load(i.k, len) {
                    Some(word) => a = word,
                    None => return 0,
                }
            }
            AND => a &= i.k,
            JUMP => at += i.k as usize,
            JUMP_IF_EQUAL => at += taken(a == i.k),
            JUMP_IF_GREATER => at += taken(a > i.k),
            JUMP_IF_NOT_LESS => at += taken(a >= i.k),
            RETURN => return i.k,
            other => panic!("unknown opcode {other:#x}"),
        }
    }
}

fn frame(link_layer: LinkLayer, ethertype: u16, protocol: u8, group: u32) -> Vec<u8> {
    let mut frame = vec![0u8; 34];
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    frame[14] = 0x45;
    frame[23] = protocol;
    frame[30..34].copy_from_slice(&group.to_be_bytes());
    match link_layer {
        LinkLayer::Ethernet => frame,
        LinkLayer::None => frame.split_off(14),
    }
}

fn wanted(nets: impl IntoIterator<Item = (u32, u8)>) -> InputFilter {
    let net = |(address, length)| {
        Ipv4Net::new(Ipv4Addr::from(address), length).expect("a length").trunc()
    };
    InputFilter { destinations: nets.into_iter().map(net).collect(), ..InputFilter::default() }
}

fn udp_to(link_layer: LinkLayer, destination: u32) -> Vec<u8> {
    frame(link_layer, 0x0800, 17, destination)
}

proptest! {
    /// Groups, prefixes of groups and other addresses, close enough to overlap and to touch.
    #[test]
    fn exactly_the_destinations_pass(
        nets in proptest::collection::vec((0xdfff_fe00u32..0xe000_0800, 20u8..=32), 0..500),
        asked in proptest::collection::vec(0xdfff_f000u32..0xe000_1800, 1..60),
        raw in any::<bool>(),
    ) {
        let link_layer = if raw { LinkLayer::None } else { LinkLayer::Ethernet };
        let filter = wanted(nets);
        let program = compile(link_layer, &filter);
        prop_assert!(program.len() <= MAX_INSTRUCTIONS);
        let edges = filter.destinations.iter().take(40).flat_map(|net| {
            let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
            [first - 1, first, last, last + 1]
        });
        for destination in asked.iter().copied().chain(edges) {
            let passes = run(&program, &udp_to(link_layer, destination)) == ACCEPT;
            let address = Ipv4Addr::from(destination);
            let expected = filter.destinations.iter().any(|net| net.contains(&address));
            prop_assert_eq!(passes, expected, "{}", address);
        }
    }

    /// The coarse program never refuses what is wanted.
    #[test]
    fn the_coarse_program_passes_what_is_wanted(
        nets in proptest::collection::vec((any::<u32>(), 0u8..=32), 1..200),
    ) {
        let filter = wanted(nets);
        let program = compile_coarse(LinkLayer::Ethernet, &filter);
        prop_assert!(program.len() <= MAX_COARSE * 6 + 20, "{}", program.len());
        for net in &filter.destinations {
            for address in [net.network(), net.broadcast()] {
                let frame = udp_to(LinkLayer::Ethernet, address.into());
                prop_assert_eq!(run(&program, &frame), ACCEPT, "{}", address);
            }
        }
    }
}

#[test]
fn the_ends_of_the_address_space_are_destinations() {
    for (nets, passes) in [
        (vec![(0, 0)], [true, true, true]),
        (vec![(0, 32)], [true, false, false]),
        (vec![(u32::MAX, 32)], [false, false, true]),
        (vec![(0, 1), (0x8000_0000, 1)], [true, true, true]),
        (vec![], [false, false, false]),
    ] {
        let program = compile(LinkLayer::Ethernet, &wanted(nets));
        for (destination, expected) in [0, 0xef01_0101, u32::MAX].into_iter().zip(passes) {
            let frame = udp_to(LinkLayer::Ethernet, destination);
            assert_eq!(run(&program, &frame) == ACCEPT, expected, "{destination:x}");
        }
    }
}

#[test]
fn other_protocols_pass_where_a_rule_takes_them_and_runts_never() {
    const GROUP: u32 = 0xef01_0101;
    let mut filter = wanted([(GROUP, 32)]);
    let program = compile(LinkLayer::Ethernet, &filter);
    let good = udp_to(LinkLayer::Ethernet, GROUP);
    let tcp = frame(LinkLayer::Ethernet, 0x0800, 6, GROUP);
    let six = frame(LinkLayer::Ethernet, 0x86dd, 17, GROUP);
    assert_eq!(run(&program, &good), ACCEPT);
    assert_eq!(run(&program, &six), 0);
    assert_eq!(run(&program, &tcp), 0);
    assert_eq!(run(&program, &good[..33]), 0);
    filter.any_protocol = true;
    let program = compile(LinkLayer::Ethernet, &filter);
    for frame in [&good, &tcp] {
        assert_eq!(run(&program, frame), ACCEPT);
    }
    assert_eq!(run(&program, &six), 0);
    assert_eq!(run(&program, &frame(LinkLayer::Ethernet, 0x0800, 6, GROUP + 1)), 0);
    filter.any_protocol = false;
    let tunnel = compile(LinkLayer::None, &filter);
    let mut bare = udp_to(LinkLayer::None, GROUP);
    assert_eq!(run(&tunnel, &bare), ACCEPT);
    bare[0] = 0x60;
    assert_eq!(run(&tunnel, &bare), 0);
}

#[test]
fn the_longest_program_fits() {
    const GROUPS: u32 = 800;
    for link_layer in [LinkLayer::Ethernet, LinkLayer::None] {
        let program = compile(link_layer, &wanted((0..GROUPS).map(|n| (0xef00_0000 + 7 * n, 32))));
        assert!(program.len() <= MAX_INSTRUCTIONS, "{}", program.len());
        for n in 0..7 * GROUPS {
            let passes = run(&program, &udp_to(link_layer, 0xef00_0000 + n)) == ACCEPT;
            assert_eq!(passes, n % 7 == 0);
        }
    }
}

#[test]
fn beyond_the_limit_all_multicast_passes() {
    // Prefixes take more room than groups; 700 of them do not fit, and neither do 900 groups.
    for (count, length) in [(700, 29), (900, 32)] {
        let groups = (0..count).map(|n| (0xef00_0000 + 32 * n, length));
        let broadcast = (0x0a00_00ff, 32);
        let program = compile(LinkLayer::Ethernet, &wanted(groups.chain([broadcast])));
        assert!(program.len() <= 20, "{}", program.len());
        let passes = |destination| run(&program, &udp_to(LinkLayer::Ethernet, destination));
        assert_eq!(passes(0xe100_0001), ACCEPT);
        assert_eq!(passes(0x0a00_00ff), ACCEPT);
        assert_eq!(passes(0x0a00_0001), 0);
        assert_eq!(passes(0xf000_0001), 0);
    }
}
