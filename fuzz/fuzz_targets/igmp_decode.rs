//! Any bytes as a packet from a link: no panic, and all that a message names lies in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcr::igmp::packet::{Message, decode};
use mcr::types::IgmpVersion;
use mcr::wire::checksum::Sum;

/// Writes the right checksum of `bytes` to `at`: it is hard to guess, and what lies behind it is to be reached.
fn fix_checksum(bytes: &mut [u8], at: usize) {
    if bytes.len() >= at + 2 {
        bytes[at..at + 2].fill(0);
        let sum = !Sum::default().bytes(bytes).fold();
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Makes a packet of bytes that decoding does not refuse for its frame: `about` says which header it gets.
fn wrap(about: u8, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message.truncate(2000);
    fix_checksum(&mut message, 2);
    let to = match about >> 4 & 3 {
        0 => [224, 0, 0, 1],
        1 => [224, 0, 0, 2],
        2 => [224, 0, 0, 22],
        _ => message
            .get(4..8)
            .map_or([10, 0, 0, 1], |group| [group[0], group[1], group[2], group[3]]),
    };
    let [high, low] = (24 + message.len() as u16).to_be_bytes();
    let mut packet = vec![0x46, 0xc0, high, low, 0, 0, 0x40, 0, 1, 2, 0, 0, 10, 0, 0, 1];
    packet.extend(to);
    packet.extend([0x94, 4, 0, 0]);
    fix_checksum(&mut packet, 10);
    packet.extend(message);
    packet
}

fuzz_target!(|input: &[u8]| {
    let Some((&about, rest)) = input.split_first() else { return };
    let packet = if about & 1 == 0 { rest.to_vec() } else { wrap(about, rest) };
    let Ok(received) = decode(&packet) else { return };
    assert_eq!(received.ttl, 1);
    match received.message {
        Message::Query(query) => {
            assert!(query.group.is_none_or(|group| group.is_multicast()));
            assert!(query.version == IgmpVersion::V3 || query.sources.is_empty());
            assert_eq!(query.sources.iter().count(), query.sources.len());
            assert!(20 + 8 + query.sources.len() * 4 <= packet.len());
        }
        Message::ReportV1(group) | Message::ReportV2(group) | Message::Leave(group) => {
            assert!(group.is_multicast());
        }
        Message::ReportV3(records) => {
            let mut bytes = 20 + 8 + records.skipped() * 8;
            let mut count = 0;
            for record in records {
                assert!(record.group.is_multicast());
                bytes += 8 + record.sources.iter().count() * 4;
                count += 1;
            }
            assert_eq!(count, records.len());
            assert!(bytes <= packet.len());
        }
    }
});
