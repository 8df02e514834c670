//! Packet ports on a real interface.

use super::*;
use crate::sys::test_namespace::{ip, run};

const WANTED: u32 = 1 << 20;
const ROOM: Room = Room { bytes: WANTED, ring: false };

/// How many asked for all multicast on `there`.
fn all_multicast() -> u32 {
    let output = std::process::Command::new("ip").args(["-d", "link", "show", "here"]).output();
    let text = String::from_utf8(output.expect("ip runs").stdout).expect("text");
    let (_, rest) = text.split_once("allmulti ").expect("ip shows it");
    rest.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
}

fn filter(all_multicast: bool) -> InputFilter {
    let group = "239.0.0.0/8".parse().expect("a prefix");
    InputFilter { destinations: [group].into(), any_protocol: false, all_multicast }
}

#[test]
fn all_multicast_follows_the_filter_and_ends_with_the_socket() {
    run(|| {
        ip("link add here type veth peer name there");
        ip("link set here up");
        let index = IfIndex(nix::net::if_::if_nametoindex("here").expect("is there"));
        let open = |all| InputSocket::packet(index, LinkLayer::Ethernet, &filter(all), ROOM);
        let mut port = open(false).expect("opens");
        assert_eq!(all_multicast(), 0);
        for (on, expected) in [(true, 1), (true, 1), (false, 0), (false, 0), (true, 1)] {
            port.set_filter(&filter(on)).expect("is set");
            assert_eq!(all_multicast(), expected);
        }
        let second = open(true).expect("opens");
        assert_eq!(all_multicast(), 2);
        drop((port, second));
        assert_eq!(all_multicast(), 0);
    });
}

#[test]
fn the_receive_buffer_is_what_was_asked_for() {
    run(|| {
        ip("link set lo up");
        let lo = IfIndex(1);
        let packet = InputSocket::packet(lo, LinkLayer::Ethernet, &filter(false), ROOM);
        let udp = InputSocket::udp(lo, Ipv4Addr::LOCALHOST, 5000, WANTED);
        for port in [packet, udp] {
            let socket = Socket::from(port.expect("opens").share().expect("dup"));
            // The kernel doubles it for its own book-keeping (socket(7)).
            assert_eq!(socket.recv_buffer_size().expect("is told"), 2 * WANTED as usize);
        }
    });
}

#[test]
fn a_ring_takes_half_of_the_room_and_is_known_again() {
    use crate::sys::packet_ring::PacketRing;
    run(|| {
        ip("link set lo up");
        let lo = IfIndex(1);
        for (ring, slots) in [(true, Some(WANTED / 2 / 2048)), (false, None)] {
            let room = Room { bytes: WANTED, ring };
            let port = InputSocket::packet(lo, LinkLayer::Ethernet, &filter(false), room);
            let port = port.expect("opens");
            let shared = port.share().expect("dup");
            let mapped = PacketRing::of(shared.as_fd()).expect("maps");
            assert_eq!(mapped.map(|ring| ring.slots()), slots);
            let mut bridge = Bridge::default();
            let again = InputSocket::adopt_packet(shared, lo, LinkLayer::Ethernet, &mut bridge);
            assert_eq!((port.has_ring(), again.expect("is taken over").has_ring()), (ring, ring));
        }
    });
}
