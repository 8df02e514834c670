//! Any bytes as a received frame: no panic, and whatever was decoded lies within the frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcr::dataplane::decode::{FrameMeta, Packet, decode, inner_checksum};
use mcr::types::{DropStage, LinkLayer};
use mcr::wire::checksum::Sum;

/// Bytes of the input that say what the kernel would say beside the frame.
const META_LEN: usize = 9;

fn meta(bytes: &[u8; META_LEN]) -> FrameMeta {
    let [what, flags, gso_type, size_high, size_low, vlan, start_high, start_low, offset] = *bytes;
    FrameMeta {
        link_layer: if what & 1 == 0 { LinkLayer::Ethernet } else { LinkLayer::None },
        flags,
        gso_type,
        gso_size: u16::from_be_bytes([size_high, size_low]),
        checksum_start: u16::from_be_bytes([start_high, start_low]),
        checksum_offset: u16::from(offset),
        vlan: (what & 2 != 0).then_some(u16::from(vlan)),
        truncated: what & 4 != 0,
    }
}

/// Puts a right header checksum in: it is hard to guess, and what lies behind it is to be reached.
fn fix_checksum(frame: &mut [u8], ip: usize) {
    let Some(packet) = frame.get_mut(ip..) else { return };
    let length = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    if let Some(header) = packet.get_mut(..length)
        && length >= 20
    {
        header[10..12].fill(0);
        let sum = !Sum::default().bytes(header).fold();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((about, frame)) = input.split_first_chunk::<META_LEN>() else { return };
    let meta = meta(about);
    let mut frame = frame.to_vec();
    if about[0] & 8 != 0 {
        fix_checksum(&mut frame, if meta.link_layer == LinkLayer::Ethernet { 14 } else { 0 });
    }
    if let Ok(Some(inner)) = inner_checksum(&frame, &meta) {
        assert!(inner.at + 2 <= inner.len);
        assert!((inner.start + inner.len) as usize <= frame.len());
    }
    match decode(&frame, &meta) {
        Ok(Packet::Fragment(fragment)) => {
            let end = fragment.payload_start as usize + fragment.payload_len as usize;
            assert!(end <= frame.len());
            assert!(fragment.more || fragment.offset > 0);
        }
        Ok(Packet::Whole(datagram)) => {
            let ip = datagram.header_start as usize + usize::from(datagram.header_len);
            assert!(ip <= datagram.payload_start as usize);
            let end = datagram.payload_start as usize + datagram.payload_len as usize;
            assert!(end <= frame.len());
            assert!(datagram.segment > 0);
            let mut at = datagram.payload_start;
            let mut count = 0;
            for (start, len) in datagram.segments() {
                assert_eq!(start, at);
                assert!(len <= datagram.segment);
                at += len;
                count += 1;
            }
            assert_eq!(at as usize, end);
            assert_eq!(count, datagram.count());
        }
        Err(reason) => assert_eq!(reason.stage(), DropStage::Frame),
    }
});
