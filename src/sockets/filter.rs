//! The in-kernel filter of a packet port (classic BPF): only IPv4 packets to wanted destinations
//! are copied, and only UDP where no rule takes other protocols.

use crate::types::{InputFilter, LinkLayer};
use crate::wire::{ethernet, udp};
use libc::sock_filter;

/// Instructions of a program at most (BPF_MAXINSNS, linux/bpf_common.h).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Ranges of destinations that can fit into a program: a single address takes three instructions,
/// a longer range four, and each but one two more to be found.
const MAX_RANGES: usize = MAX_INSTRUCTIONS / 5;
/// Ranges outside of 224.0.0.0/4 that the coarse program tells apart.
const MAX_COARSE: usize = 64;
/// 224.0.0.0/4.
const MULTICAST: Range = (0xe000_0000, 0xefff_ffff);

/// Addresses, both ends included.
type Range = (u32, u32);

// Opcodes, linux/bpf_common.h.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_NOT_LESS: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const RETURN_IT: u16 = 0x16;
const MULTIPLY: u16 = 0x24;
const SHIFT_RIGHT: u16 = 0x74;
const ADD_INDEX: u16 = 0x0c;
const XOR_INDEX: u16 = 0xac;
const TO_INDEX: u16 = 0x07;

// Offsets that the kernel has a meaning of its own for, linux/filter.h.
/// SKF_NET_OFF: from the network header on, wherever the data begins.
const NETWORK_HEADER: u32 = 0xfff0_0000;
/// SKF_AD_OFF + SKF_AD_PKTTYPE.
const PACKET_TYPE: u32 = 0xffff_f004;
/// PACKET_OUTGOING of linux/if_packet.h.
const PACKET_OUTGOING: u32 = 4;

/// The whole frame: 64 KiB and headers.
const ACCEPT: u32 = 0x0004_0000;
const REFUSE: u32 = 0;

const fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

const fn test(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Refuses everything.
pub fn nothing() -> Vec<sock_filter> {
    vec![step(RETURN, REFUSE)]
}

/// Compiles the filter. Malformed and fragmented packets to a wanted destination pass: they are
/// counted where they are decoded. Offsets count from the link header of a SOCK_RAW socket; the
/// kernel has taken a VLAN tag out. Where the destinations do not fit into a program, it is that of
/// [`compile_coarse`].
pub fn compile(link_layer: LinkLayer, wanted: &InputFilter) -> Vec<sock_filter> {
    let ranges = disjoint(wanted);
    if ranges.len() <= MAX_RANGES {
        let program = with_destinations(link_layer, wanted.any_protocol, &ranges);
        if program.len() <= MAX_INSTRUCTIONS {
            return program;
        }
    }
    compile_coarse(link_layer, wanted)
}

/// Lets all of 224.0.0.0/4 pass and the other wanted destinations, where those are too many all
/// destinations: for more than a program can tell apart, and for kernels whose
/// `net.core.optmem_max` has no room for a long program.
pub fn compile_coarse(link_layer: LinkLayer, wanted: &InputFilter) -> Vec<sock_filter> {
    let mut ranges = disjoint(wanted);
    ranges.retain(|&(first, last)| first < MULTICAST.0 || last > MULTICAST.1);
    ranges.push(MULTICAST);
    ranges.sort_unstable();
    let mut ranges = merge(ranges);
    if ranges.len() > MAX_COARSE + 1 {
        ranges = vec![(0, u32::MAX)];
    }
    with_destinations(link_layer, wanted.any_protocol, &ranges)
}

/// `program` for frames that came in, and none of those that this host sends. None where that makes it longer
/// than a program can be.
pub fn incoming(program: &[sock_filter]) -> Option<Vec<sock_filter>> {
    let mut whole = vec![
        step(LOAD_BYTE, PACKET_TYPE),
        test(JUMP_IF_EQUAL, PACKET_OUTGOING, 0, 1),
        step(RETURN, REFUSE),
    ];
    whole.extend_from_slice(program);
    (whole.len() <= MAX_INSTRUCTIONS).then_some(whole)
}

/// A number for each pair of source and destination address, much the same number of pairs for each
/// remainder; 0 for what is no IPv4 packet. For choosing a shard: all datagrams of a flow and all their
/// fragments get the same. Ports have no part in it: only the first fragment of a datagram has them, and what
/// is large and in fragments would overtake what is small and whole, or be overtaken. (The kernel's own hash,
/// PACKET_FANOUT_HASH, takes the ports of what is whole.)
pub fn by_addresses() -> Vec<sock_filter> {
    vec![
        step(LOAD_WORD, NETWORK_HEADER + 12),
        step(MULTIPLY, 0x9e37_79b1),
        step(TO_INDEX, 0),
        step(LOAD_WORD, NETWORK_HEADER + 16),
        step(ADD_INDEX, 0),
        step(MULTIPLY, 0x85eb_ca6b),
        step(TO_INDEX, 0),
        step(SHIFT_RIGHT, 15),
        step(XOR_INDEX, 0),
        step(MULTIPLY, 0xc2b2_ae35),
        step(TO_INDEX, 0),
        step(SHIFT_RIGHT, 16),
        step(XOR_INDEX, 0),
        step(RETURN_IT, 0),
    ]
}

/// The wanted destinations in ascending order, none touching the next.
fn disjoint(wanted: &InputFilter) -> Vec<Range> {
    // Sorted by network, the shorter prefix first: so the ranges are sorted by their first.
    let ranges = wanted.destinations.iter();
    merge(ranges.map(|net| (net.network().into(), net.broadcast().into())).collect())
}

/// Joins ranges that overlap or touch; they are sorted by their first.
fn merge(ranges: Vec<Range>) -> Vec<Range> {
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn with_destinations(
    link_layer: LinkLayer,
    any_protocol: bool,
    ranges: &[Range],
) -> Vec<sock_filter> {
    let (mut program, ip) = ipv4_only(link_layer);
    if !any_protocol {
        program.push(step(LOAD_BYTE, ip + 9));
        program.push(test(JUMP_IF_EQUAL, u32::from(udp::PROTOCOL), 1, 0));
        program.push(step(RETURN, REFUSE));
    }
    program.push(step(LOAD_WORD, ip + 16));
    search(ranges, &mut program);
    program
}

/// The start of a program: refuses what is not IPv4. With the offset of the IP header.
fn ipv4_only(link_layer: LinkLayer) -> (Vec<sock_filter>, u32) {
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
    (program, ip)
}

/// A binary search over sorted ranges: conditional jumps reach 255 instructions only, so the far
/// half is reached by an unconditional one.
fn search(ranges: &[Range], program: &mut Vec<sock_filter>) {
    match *ranges {
        [] => program.push(step(RETURN, REFUSE)),
        [(first, last)] => {
            if first == last {
                program.push(test(JUMP_IF_EQUAL, first, 0, 1));
            } else {
                program.push(test(JUMP_IF_NOT_LESS, first, 0, 2));
                program.push(test(JUMP_IF_GREATER, last, 1, 0));
            }
            program.push(step(RETURN, ACCEPT));
            program.push(step(RETURN, REFUSE));
        }
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            program.push(test(JUMP_IF_GREATER, low[low.len() - 1].1, 0, 1));
            let jump = program.len();
            program.push(step(JUMP, 0));
            search(low, program);
            program[jump].k = u32::try_from(program.len() - jump - 1).unwrap_or(0);
            search(high, program);
        }
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
