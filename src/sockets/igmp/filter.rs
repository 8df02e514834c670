//! What a listener lets in (classic BPF): IGMP to us, to all or to a group, in untagged frames.

use crate::wire::ethernet;
use libc::sock_filter;

/// IP protocol number of IGMP (RFC 9776 section 4).
const IGMP: u32 = 2;
/// The VLAN identifier in a tag (IEEE 802.1Q); 0 = the tag gives a priority only.
const VLAN_ID: u32 = 0x0fff;

// Opcodes, linux/bpf_common.h.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

// Offsets that the kernel has a meaning of its own for, linux/filter.h: SKF_AD_OFF and SKF_AD_….
const PROTOCOL: u32 = 0xffff_f000;
const PACKET_TYPE: u32 = 0xffff_f004;
const VLAN_TAG: u32 = 0xffff_f02c;
const VLAN_TAG_PRESENT: u32 = 0xffff_f030;

/// PACKET_MULTICAST of linux/if_packet.h; below it are PACKET_HOST and PACKET_BROADCAST, above it what is for
/// other hosts and what this one sends.
const PACKET_MULTICAST: u32 = 2;

/// The whole packet, whatever its length.
const ACCEPT: u32 = 0x0004_0000;

/// The program for a SOCK_DGRAM socket: offsets count from the IP header. What is most of the traffic is refused
/// first. A tagged frame belongs to its VLAN's interface, where it comes without the tag.
pub(super) fn program() -> [sock_filter; 13] {
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    // So many instructions are skipped where it holds, or where it does not.
    let test = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    [
        step(LOAD_BYTE, 9),
        test(JUMP_IF_EQUAL, IGMP, 0, 10),
        step(LOAD_HALF, PROTOCOL),
        test(JUMP_IF_EQUAL, u32::from(ethernet::IPV4), 0, 8),
        step(LOAD_BYTE, PACKET_TYPE),
        test(JUMP_IF_GREATER, PACKET_MULTICAST, 6, 0),
        step(LOAD_WORD, VLAN_TAG_PRESENT),
        test(JUMP_IF_EQUAL, 0, 3, 0),
        step(LOAD_WORD, VLAN_TAG),
        step(AND, VLAN_ID),
        test(JUMP_IF_EQUAL, 0, 0, 1),
        step(RETURN, ACCEPT),
        step(RETURN, 0),
    ]
}
