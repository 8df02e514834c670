//! What is built reads back: by our decoder, and the checksums by another crate.

use super::*;
use crate::dataplane::decode::{FrameMeta, Packet, decode};
use etherparse::PacketBuilder;
use proptest::prelude::*;

fn datagram(frame: &[u8], meta: &FrameMeta) -> Datagram {
    match decode(frame, meta).expect("valid") {
        Packet::Whole(datagram) => datagram,
        Packet::Fragment(fragment) => panic!("{fragment:?}"),
    }
}

fn any_rewrite() -> impl Strategy<Value = Rewrite> {
    (any::<u32>(), any::<u32>(), any::<(u16, u16)>(), 1u8.., any::<u8>()).prop_map(
        |(source, destination, (source_port, destination_port), ttl, tos)| Rewrite {
            source: source.into(),
            destination: destination.into(),
            source_port,
            destination_port,
            ttl,
            tos,
        },
    )
}

proptest! {
    #[test]
    fn a_frame_decodes_to_what_it_was_built_of(
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        arriving in any_rewrite(),
        to in any_rewrite(),
        partial in any::<bool>(),
        bare in any::<bool>(),
    ) {
        let builder = PacketBuilder::ethernet2([2; 6], [3; 6])
            .ipv4(arriving.source.octets(), arriving.destination.octets(), arriving.ttl)
            .udp(arriving.source_port, arriving.destination_port);
        let mut frame = Vec::new();
        builder.write(&mut frame, &payload).expect("fits");
        let flags = if partial { NEEDS_CSUM } else { 0 };
        let meta = FrameMeta { flags, ..FrameMeta::plain(LinkLayer::Ethernet) };
        let before = datagram(&frame, &meta);
        let template = Template::new(&frame, &before, &to).expect("in the frame");
        let outgoing = template.datagram(0, before.payload_len).expect("not too long");
        let link_layer = if bare { LinkLayer::None } else { LinkLayer::Ethernet };
        let mut header = outgoing.whole(Framing::of(link_layer, [4; 6], [5; 6]));
        header.push(&[]);
        let built = [header.bytes(), &payload].concat();
        let mut meta = FrameMeta::plain(link_layer);
        let frame = meta.take_vnet_header(&built).expect("a virtio header");
        prop_assert_eq!(meta.flags, flags);
        // Without the flag the decoder verifies the checksum.
        let after = datagram(frame, &meta);
        let read = Rewrite {
            source: after.source,
            destination: after.destination,
            source_port: after.source_port,
            destination_port: after.destination_port,
            ttl: after.ttl,
            tos: after.tos,
        };
        prop_assert_eq!(read, to);
        prop_assert_eq!((after.checksum, after.identification, after.dont_fragment),
            (before.checksum, before.identification, before.dont_fragment));
        prop_assert_eq!(&frame[after.payload_start as usize..], &payload[..]);
        if partial {
            // struct virtio_net_hdr: what the kernel is asked to fill in is the UDP checksum.
            let start = u16::from_ne_bytes([built[6], built[7]]);
            prop_assert_eq!(u32::from(start), after.payload_start - 8);
            prop_assert_eq!(u16::from_ne_bytes([built[8], built[9]]), 6);
            let mut complete = outgoing;
            complete.complete(&payload);
            let packet = [complete.whole(Framing::Raw).bytes(), &payload].concat();
            let plain = FrameMeta::plain(LinkLayer::None);
            prop_assert_eq!(datagram(&packet, &plain).checksum, Checksum::Complete);
        }
    }
}

#[test]
fn a_datagram_longer_than_an_ip_packet_is_not_built() {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [3; 6]).ipv4([10; 4], [239; 4], 1).udp(1, 2);
    builder.write(&mut frame, b"x").expect("fits");
    let before = datagram(&frame, &FrameMeta::plain(LinkLayer::Ethernet));
    let to = Rewrite {
        source: before.source,
        destination: before.destination,
        source_port: 1,
        destination_port: 2,
        ttl: 1,
        tos: 0,
    };
    let template = Template::new(&frame, &before, &to).expect("in the frame");
    assert_eq!(template.datagram(0, 65_535 - 28).expect("fits").size(), 65_535);
    assert!(template.datagram(0, 65_535 - 27).is_none());
    assert!(Template::new(&frame[..41], &before, &to).is_none(), "cut in the UDP header");
}

#[test]
fn parts_of_a_datagram_without_a_number_get_one() {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [3; 6]).ipv4([10; 4], [239; 4], 1).udp(1, 2);
    builder.write(&mut frame, &[0; 100]).expect("fits");
    let mut before = datagram(&frame, &FrameMeta::plain(LinkLayer::Ethernet));
    let to = Rewrite {
        source: before.source,
        destination: before.destination,
        source_port: 1,
        destination_port: 2,
        ttl: 1,
        tos: 0,
    };
    for (number, expected) in [(0, 77), (5, 5)] {
        before.identification = number;
        let template = Template::new(&frame, &before, &to).expect("in the frame");
        let outgoing = template.datagram(0, 100).expect("fits");
        let pieces: Vec<Piece> = outgoing.fragments(68, 77, Framing::Raw).expect("room").collect();
        assert_eq!(pieces.len(), 3);
        for piece in pieces {
            assert_eq!(piece.header.bytes()[4..6], u16::to_be_bytes(expected));
        }
    }
}
