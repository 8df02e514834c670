//! The instruments of the other scenarios, checked against the kernel alone.
//!
//! ```text
//!  +----------------+        +---------------+
//!  | source         |        | receiver      |
//!  | src0           |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.9/24   |
//!  +----------------+        +---------------+
//! ```

use crate::lab::{
    AddressWatch, Capture, Frame, Injector, Lab, Receive, SOON, Send, Steady, Tap, Witness,
    counter, first_datagram, listen, sender, wait_for,
};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

pub(crate) fn measure(lab: &Lab) {
    let (source, receiver) = (lab.namespace("source"), lab.namespace("receiver"));
    lab.veth((&source, "src0"), (&receiver, "rcv0"), 1500);
    source.address("src0", "10.1.0.10/24");
    let watch = AddressWatch::new(&receiver);
    receiver.address("rcv0", "10.1.0.9/24");
    let announced = watch.wait(receiver.index("rcv0"));
    assert!(announced.elapsed() < SOON);

    // A join is seen on the wire, as the group from everybody.
    let capture = Capture::igmp(&source);
    let member = listen(&receiver, "rcv0", GROUP, 5000);
    wait_for("the report of our own join", SOON, || {
        let asked = capture.asked();
        if asked.contains(&(GROUP, None)) { Ok(()) } else { Err(format!("{asked:?}")) }
    });

    // Frames that say they are right are right: the kernel takes them.
    let injector = Injector::new(&source, "src0");
    for payload in [&b"even"[..], b"odd", b""] {
        injector.send(&Frame::udp(SOURCE, GROUP, 5000, payload));
        let (_, from, got) = first_datagram(&member, SOON).expect("a correct frame");
        assert_eq!((from, &got[..]), (SocketAddr::from((SOURCE, 40_000)), payload));
    }
    injector.send(&Frame::with_options(SOURCE, GROUP, 5000, &[1, 1, 1, 0]));
    assert_eq!(first_datagram(&member, SOON).expect("a frame with options").2, b"options");
    // Those that say they are wrong are wrong: the kernel counts them.
    for (frame, table, name) in [
        (
            Frame::udp(SOURCE, GROUP, 5000, b"wrong").udp_bytes(6, &[0xde, 0xad]),
            "Udp",
            "InCsumErrors",
        ),
        (
            Frame::udp(SOURCE, GROUP, 5000, b"wrong").ip_unsealed(10, &[0xde, 0xad]),
            "IpExt",
            "InCsumErrors",
        ),
        (
            Frame::udp(SOURCE, GROUP, 5000, b"wrong").ip(2, &[0x05, 0xdc]),
            "IpExt",
            "InTruncatedPkts",
        ),
    ] {
        let before = counter(&receiver, table, name);
        injector.send(&frame);
        // The kernel verifies a UDP checksum when the datagram is read.
        assert!(first_datagram(&member, Duration::from_millis(100)).is_none(), "{name}");
        assert_eq!(counter(&receiver, table, name), before + 1, "{table} {name}");
    }

    let steady = Steady::start(sender(&source, SOURCE, 4000), SocketAddrV4::new(GROUP, 5000));
    for _ in 0..10 {
        let (_, from, payload) = first_datagram(&member, SOON).expect("a steady sender");
        assert_eq!((from, &payload[..]), (SocketAddr::from((SOURCE, 4000)), &b"steady"[..]));
    }
    drop(steady);
    let offload = "tx-checksum-ip-generic";
    source.offload("src0", offload, false);
    receiver.offload("rcv0", "gro", true);
    receiver.offload("rcv0", "rx-udp-gro-forwarding", true);
}

/// `mcrgen` on one link without a relay, in every form that scenarios use: all that is sent is seen.
pub(crate) fn generator(lab: &Lab) {
    let (source, receiver) = (lab.namespace("source"), lab.namespace("receiver"));
    lab.veth((&source, "src0"), (&receiver, "rcv0"), 9000);
    source.address("src0", "10.1.0.10/24");
    receiver.address("rcv0", "10.1.0.9/24");
    let forms = [
        "--size 1316",
        "--size-range 64-1472 --train 1-64",
        "--size 1316 --gso --train 1-64",
        "--size-range 64-8972 --gso --train 1-64",
    ];
    for (stream, args) in (1..).zip(forms) {
        for to in [("239.1.1.1", 5000), ("10.1.0.9", 5001)] {
            let member = Receive::count("rcv0", to.0, to.1, 2_000).start(&receiver);
            let send = Send { interface: "src0", to, rate: 20_000, count: 2_000, stream, args };
            send.run(&source);
            let report = member.report();
            report.assert_perfect(args, 2_000);
            assert_eq!(report.flows().len(), 1, "{}", report.0);
            assert_eq!(report.flows()[0]["sourceAddress"], "10.1.0.10");
        }
    }
}

/// Frames of the lab, what a tap sees, and what nftables counts, against the kernel and each other.
pub(crate) fn wire(lab: &Lab) {
    let (source, receiver) = (lab.namespace("source"), lab.namespace("receiver"));
    lab.veth((&source, "src0"), (&receiver, "rcv0"), 1500);
    source.address("src0", "10.1.0.10/24");
    source.plain_frames("src0");
    receiver.address("rcv0", "10.1.0.9/24");
    let member = listen(&receiver, "rcv0", GROUP, 5000);
    let tap = Tap::new(&receiver, "rcv0");
    let witness = Witness::new(&receiver, "rcv0", 5000);
    let other = Witness::new(&receiver, "rcv0", 5001);
    let next = || loop {
        let frame = tap.next(SOON).expect("a frame");
        if frame.to() == GROUP {
            break frame;
        }
    };

    // A frame arrives as it was sent, its tag too; the kernel agrees with its checksums.
    let injector = Injector::new(&source, "src0");
    let frame = Frame::udp(SOURCE, Ipv4Addr::new(239, 7, 7, 7), 1, b"every byte")
        .options(&[148, 4, 0, 0])
        .destination(GROUP)
        .port(5000)
        .source_port(4444)
        .ttl(9)
        .tos(0xb8)
        .id(77);
    injector.send(&frame);
    assert_eq!(next(), frame);
    let (_, from, payload) = first_datagram(&member, SOON).expect("a correct frame");
    assert_eq!((from, &payload[..]), (SocketAddr::from((SOURCE, 4444)), &b"every byte"[..]));
    let tagged = Frame::udp(SOURCE, GROUP, 5000, b"tagged").tagged(5 << 13 | 310);
    injector.send(&tagged);
    assert_eq!(next(), tagged);

    // The kernel puts our fragments together, in any order, and we put the kernel's together.
    let large: Vec<u8> = (0..9000_u32).map(|at| (at * 7 % 251) as u8).collect();
    let whole = Frame::udp(SOURCE, GROUP, 5000, &large[..8972]).id(78);
    let parts = whole.fragments(1500);
    assert_eq!(parts.len(), 7);
    assert_eq!(Frame::whole(parts.clone()), whole);
    for part in parts.iter().rev() {
        injector.send(part);
        assert_eq!(&next(), part);
    }
    assert_eq!(first_datagram(&member, SOON).expect("the whole").2, large[..8972]);
    let socket = sender(&source, SOURCE, 4000);
    socket.send_to(&large[..3000], SocketAddrV4::new(GROUP, 5000)).expect("sent");
    let parts: Vec<_> = (0..3).map(|_| next()).collect();
    assert!(parts.iter().all(Frame::is_fragment), "{parts:?}");
    let number = parts[0].identification();
    let expected = Frame::udp(SOURCE, GROUP, 5000, &large[..3000]).source_port(4000).id(number);
    let seen = Frame::whole(parts).source_mac([0; 6]);
    assert_eq!(seen, expected.source_mac([0; 6]), "RFC 791 as two others have read it");

    // First fragments have ports, later ones have none, and nobody is asked about tagged frames.
    assert_eq!((witness.packets(), other.packets()), (3, 0));
    witness.remove();
    let again = Witness::new(&receiver, "rcv0", 5000);
    assert_eq!(again.packets(), 0);
}
