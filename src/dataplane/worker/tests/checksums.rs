//! The sender's UDP checksum in copies with headers of ours.

use super::packets::{ETHERNET, by_link, by_raw, is_root, read, relay, relay_one, sample};
use super::*;
use crate::dataplane::decode::VNET_HEADER_LEN;
use crate::fib::SourceRewrite;

#[test]
fn the_senders_checksum_still_tells_about_the_payload() {
    if !is_root() {
        return;
    }
    let source = SourceRewrite { address: Some(Ipv4Addr::new(10, 7, 7, 7).into()), port: Some(77) };
    for send in [by_link(source), by_raw(source)] {
        let mut absent = sample(b"hello");
        absent[40..42].fill(0);
        let read = relay_one(send, ETHERNET, absent).1;
        assert!(read.absent, "none stays none");
        // The device vouched for bytes that were damaged later: nobody calls that right.
        let mut damaged = sample(b"hello");
        damaged[44] ^= 0x10;
        let meta = FrameMeta { flags: DATA_VALID, ..ETHERNET };
        let read = relay_one(send, meta, damaged).1;
        assert!(!read.checksum && !read.absent);
    }
}

#[test]
fn a_checksum_of_zero_is_written_as_all_ones() {
    if !is_root() {
        return;
    }
    let relay_from = |bytes: Vec<u8>, port| {
        let source = SourceRewrite { address: None, port: Some(port) };
        let outcome = relay(by_link(source), ETHERNET, bytes);
        let (to, packet) = outcome.log.packets[0].clone();
        let read = read(&to, &packet);
        assert!(read.checksum && !read.absent, "port {port}");
        let at = VNET_HEADER_LEN + 40;
        u16::from_be_bytes([packet[at], packet[at + 1]])
    };
    let field = |bytes: &[u8]| u16::from_be_bytes([bytes[40], bytes[41]]);
    for payload in [0u16, 1, 0x1234, 0xfffe, 0xffff] {
        let bytes = sample(&payload.to_be_bytes());
        // The port that makes the sum all ones: 40,000 and the old checksum, end-around.
        let sum = u32::from(field(&bytes)) + 40_000;
        let port = (sum % 0x1_0000 + sum / 0x1_0000) as u16;
        assert_eq!(relay_from(bytes, port), 0xffff);
    }
    // One that arrives so, with the same port and another.
    let all = (0..=u16::MAX).map(|payload| sample(&payload.to_be_bytes()));
    let bytes = all.into_iter().find(|bytes| field(bytes) == 0xffff).expect("one in 65,535");
    assert_eq!(relay_from(bytes.clone(), 40_000), 0xffff);
    assert_eq!(relay_from(bytes, 40_001), 0xfffe);
}
