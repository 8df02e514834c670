//! The in-kernel filter of a packet port (classic BPF): only IPv4 UDP to wanted groups is copied.

use crate::types::LinkLayer;
use crate::wire::{ethernet, udp};
use libc::sock_filter;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Groups that are told apart exactly; beyond that, all of 224.0.0.0/4 passes and the table
/// decides. A program has at most 4,096 instructions (BPF_MAXINSNS); n groups take 5n - 2 and at
/// most 8 before them.
pub const MAX_EXACT: usize = 800;

// Opcodes, linux/bpf_common.h.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// The whole frame: 64 KiB and headers.
const ACCEPT: u32 = 0x0004_0000;
const REFUSE: u32 = 0;

const fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

const fn test(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Compiles the filter. Malformed and fragmented packets to a wanted group pass: they are counted
/// where they are decoded. Offsets count from the link header of a SOCK_RAW socket.
pub fn compile(link_layer: LinkLayer, groups: &BTreeSet<Ipv4Addr>) -> Vec<sock_filter> {
    if groups.len() > MAX_EXACT {
        return compile_coarse(link_layer);
    }
    let (mut program, ip) = udp_only(link_layer);
    program.push(step(LOAD_WORD, ip + 16));
    let sorted: Vec<u32> = groups.iter().map(|&group| u32::from(group)).collect();
    search(&sorted, &mut program);
    program
}

/// Lets all of 224.0.0.0/4 pass: for more groups than a program can tell apart, and for kernels
/// whose `net.core.optmem_max` has no room for a long program.
pub fn compile_coarse(link_layer: LinkLayer) -> Vec<sock_filter> {
    let (mut program, ip) = udp_only(link_layer);
    program.push(step(LOAD_BYTE, ip + 16));
    program.push(step(AND, 0xf0));
    program.push(test(JUMP_IF_EQUAL, 0xe0, 0, 1));
    program.push(step(RETURN, ACCEPT));
    program.push(step(RETURN, REFUSE));
    program
}

/// The start of a program: refuses what is not IPv4 UDP. With the offset of the IP header.
fn udp_only(link_layer: LinkLayer) -> (Vec<sock_filter>, u32) {
    let mut program = Vec::new();
    let ip = match link_layer {
        LinkLayer::Ethernet => {
            program.push(step(LOAD_HALF, 12));
            program.push(test(JUMP_IF_EQUAL, u32::from(ethernet::IPV4), 1, 0));
            program.push(step(RETURN, REFUSE));
            ethernet::HEADER_LEN as u32
        }
        LinkLayer::None => {
            program.push(step(LOAD_BYTE, 0));
            program.push(step(AND, 0xf0));
            program.push(test(JUMP_IF_EQUAL, 0x40, 1, 0));
            program.push(step(RETURN, REFUSE));
            0
        }
    };
    program.push(step(LOAD_BYTE, ip + 9));
    program.push(test(JUMP_IF_EQUAL, u32::from(udp::PROTOCOL), 1, 0));
    program.push(step(RETURN, REFUSE));
    (program, ip)
}

/// A binary search over sorted words: conditional jumps reach 255 instructions only, so the far
/// half is reached by an unconditional one.
fn search(sorted: &[u32], program: &mut Vec<sock_filter>) {
    match *sorted {
        [] => program.push(step(RETURN, REFUSE)),
        [only] => {
            program.push(test(JUMP_IF_EQUAL, only, 0, 1));
            program.push(step(RETURN, ACCEPT));
            program.push(step(RETURN, REFUSE));
        }
        _ => {
            let (low, high) = sorted.split_at(sorted.len() / 2);
            program.push(test(JUMP_IF_GREATER, low[low.len() - 1], 0, 1));
            let jump = program.len();
            program.push(step(JUMP, 0));
            search(low, program);
            program[jump].k = u32::try_from(program.len() - jump - 1).unwrap_or(0);
            search(high, program);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn exactly_the_groups_pass(
            groups in proptest::collection::btree_set(0xe000_0000u32..0xe000_0800, 0..MAX_EXACT),
            asked in proptest::collection::vec(0xdfff_ff00u32..0xe000_0900, 1..60),
            raw in any::<bool>(),
        ) {
            let link_layer = if raw { LinkLayer::None } else { LinkLayer::Ethernet };
            let set = groups.iter().map(|&group| Ipv4Addr::from(group)).collect();
            let program = compile(link_layer, &set);
            prop_assert!(program.len() <= 4096);
            for group in asked.iter().chain(groups.iter().take(40)) {
                let passes = run(&program, &frame(link_layer, 0x0800, 17, *group)) == ACCEPT;
                prop_assert_eq!(passes, groups.contains(group), "{}", Ipv4Addr::from(*group));
            }
        }
    }

    #[test]
    fn other_protocols_and_runts_do_not_pass() {
        let group = Ipv4Addr::new(239, 1, 1, 1);
        let program = compile(LinkLayer::Ethernet, &BTreeSet::from([group]));
        let good = frame(LinkLayer::Ethernet, 0x0800, 17, group.into());
        assert_eq!(run(&program, &good), ACCEPT);
        assert_eq!(run(&program, &frame(LinkLayer::Ethernet, 0x86dd, 17, group.into())), 0);
        assert_eq!(run(&program, &frame(LinkLayer::Ethernet, 0x0800, 6, group.into())), 0);
        assert_eq!(run(&program, &good[..33]), 0);
        let tunnel = compile(LinkLayer::None, &BTreeSet::from([group]));
        let mut six = frame(LinkLayer::None, 0, 17, group.into());
        assert_eq!(run(&tunnel, &six), ACCEPT);
        six[0] = 0x60;
        assert_eq!(run(&tunnel, &six), 0);
    }

    #[test]
    fn the_longest_program_fits() {
        const BPF_MAXINSNS: usize = 4096;
        let groups: BTreeSet<Ipv4Addr> =
            (0..MAX_EXACT as u32).map(|n| Ipv4Addr::from(0xef00_0000 + 7 * n)).collect();
        for link_layer in [LinkLayer::Ethernet, LinkLayer::None] {
            let program = compile(link_layer, &groups);
            assert!(program.len() <= BPF_MAXINSNS, "{}", program.len());
            for n in 0..7 * MAX_EXACT as u32 {
                let group = 0xef00_0000 + n;
                let passes = run(&program, &frame(link_layer, 0x0800, 17, group)) == ACCEPT;
                assert_eq!(passes, n % 7 == 0);
            }
        }
    }

    #[test]
    fn beyond_the_limit_all_multicast_passes() {
        let groups = (0..=MAX_EXACT as u32).map(|n| Ipv4Addr::from(0xef00_0000 + n)).collect();
        let program = compile(LinkLayer::Ethernet, &groups);
        let passes = |group| run(&program, &frame(LinkLayer::Ethernet, 0x0800, 17, group));
        assert_eq!(passes(0xe100_0001), ACCEPT);
        assert_eq!(passes(0x0a00_0001), 0);
        assert_eq!(passes(0xf000_0001), 0);
    }
}
