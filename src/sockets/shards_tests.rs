//! Which socket of a family gets what, on a real interface.

use super::*;
use crate::sys::test_namespace::{ip, ip_batch, run};
use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

const ROOM: Room = Room { bytes: 1 << 20, ring: false };
const HEADERS: usize = 10 + 14;

fn filter() -> InputFilter {
    let groups = "239.0.0.0/8".parse().expect("a prefix");
    InputFilter { destinations: [groups].into(), any_protocol: false, all_multicast: true }
}

/// `here` and `there`, both ends in this namespace; what `there` sends arrives on `here`.
fn wire() -> IfIndex {
    ip_batch(
        "link add here type veth peer name there\n\
         link set here up\n\
         link set there up\n\
         addr add 10.0.0.2/24 dev there\n\
         route add 239.0.0.0/8 dev there\n",
    );
    IfIndex(nix::net::if_::if_nametoindex("here").expect("is there"))
}

/// Reads whole frames behind their `virtio_net_hdr`, until so many have come or nothing comes any more.
fn frames(socket: &InputSocket, most: usize) -> Vec<Vec<u8>> {
    let mut file = std::fs::File::from(socket.share().expect("dup"));
    let mut frames = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut buffer = vec![0u8; 70_000];
    while frames.len() < most && Instant::now() < deadline {
        match file.read(&mut buffer) {
            Ok(n) => frames.push(buffer[..n].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !frames.is_empty() || most == usize::MAX {
                    break;
                }
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
    frames
}

/// Destination and source address of an IPv4 frame.
fn addresses(frame: &[u8]) -> (Ipv4Addr, Ipv4Addr) {
    let word = |at: usize| {
        let at = HEADERS + at;
        Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3])
    };
    (word(16), word(12))
}

fn is_fragment(frame: &[u8]) -> bool {
    u16::from_be_bytes([frame[HEADERS + 6], frame[HEADERS + 7]]) & 0x3fff != 0
}

fn family(iif: IfIndex, shards: u32) -> (Family, Vec<InputSocket>) {
    let mut family = Family::open(iif, LinkLayer::Ethernet, ROOM, shards).expect("opens");
    let sockets = (0..shards).map(|shard| family.take(shard, &filter()).expect("opens")).collect();
    (family, sockets)
}

#[test]
fn each_flow_is_in_one_shard_with_all_its_fragments() {
    run(|| {
        let iif = wire();
        let (_family, sockets) = family(iif, 4);
        let sender = UdpSocket::bind("10.0.0.2:40000").expect("binds");
        let groups: Vec<Ipv4Addr> = (0..64).map(|n| Ipv4Addr::new(239, 1, 1, n)).collect();
        // Small ones are whole, large ones three fragments; both belong to the same flow.
        for group in &groups {
            for size in [100, 4000, 200] {
                sender.send_to(&vec![7; size], (*group, 5000)).expect("is sent");
            }
        }
        let mut shard_of: HashMap<(Ipv4Addr, Ipv4Addr), BTreeSet<usize>> = HashMap::new();
        let mut all = 0;
        for (shard, socket) in sockets.iter().enumerate() {
            let frames = frames(socket, usize::MAX);
            assert!(frames.len() > 64 * 5 / 10, "shard {shard} got {} frames", frames.len());
            assert!(frames.iter().any(|frame| is_fragment(frame)));
            all += frames.len();
            for frame in frames {
                shard_of.entry(addresses(&frame)).or_default().insert(shard);
            }
        }
        assert_eq!(all, 64 * 5, "each frame once");
        assert_eq!(shard_of.len(), 64);
        assert!(shard_of.values().all(|shards| shards.len() == 1), "{shard_of:?}");
    });
}

#[test]
fn what_this_host_sends_is_nobodys() {
    run(|| {
        let iif = wire();
        let (_family, sockets) = family(iif, 2);
        ip("addr add 10.0.1.1/24 dev here");
        let out = UdpSocket::bind("10.0.1.1:40000").expect("binds");
        socket2::SockRef::from(&out).bind_device(Some(b"here")).expect("binds");
        for n in 0..32 {
            out.send_to(b"ours", (Ipv4Addr::new(239, 1, 1, n), 5000)).expect("is sent");
        }
        let sender = UdpSocket::bind("10.0.0.2:40000").expect("binds");
        sender.send_to(b"theirs", "239.1.1.1:5000").expect("is sent");
        let got: Vec<_> = sockets.iter().flat_map(|socket| frames(socket, usize::MAX)).collect();
        assert_eq!(got.len(), 1);
        assert_eq!(addresses(&got[0]).1, Ipv4Addr::new(10, 0, 0, 2));
    });
}

#[test]
fn nothing_gets_in_before_a_shard_is_taken_and_others_step_in_for_one_that_is_closed() {
    run(|| {
        let iif = wire();
        let mut family = Family::open(iif, LinkLayer::Ethernet, ROOM, 2).expect("opens");
        let sender = UdpSocket::bind("10.0.0.2:40000").expect("binds");
        let send = || {
            for n in 0..32 {
                sender.send_to(b"x", (Ipv4Addr::new(239, 1, 1, n), 5000)).expect("is sent");
            }
        };
        send();
        let first = family.take(0, &filter()).expect("opens");
        let second = family.take(1, &filter()).expect("opens");
        assert!(frames(&first, usize::MAX).is_empty());
        assert!(frames(&second, usize::MAX).is_empty());
        send();
        let (one, other) = (frames(&first, usize::MAX).len(), frames(&second, usize::MAX).len());
        assert!(one > 4 && other > 4 && one + other == 32, "{one} and {other}");
        drop(second);
        send();
        assert_eq!(frames(&first, usize::MAX).len(), 32);
        let second = family.take(1, &filter()).expect("opens again");
        send();
        let again = (frames(&first, usize::MAX).len(), frames(&second, usize::MAX).len());
        assert_eq!(again, (one, other));
        // Two families do not share anything.
        let (_, others) = self::family(iif, 2);
        send();
        let got: usize = others.iter().map(|socket| frames(socket, usize::MAX).len()).sum();
        assert_eq!(got, 32);
    });
}

/// Why the kernel's own hash does not do: it takes the ports of what is whole, and a flow's fragments are
/// elsewhere.
#[test]
fn the_program_sees_no_ports() {
    run(|| {
        let iif = wire();
        let (_family, sockets) = family(iif, 4);
        for port in 40_000..40_032 {
            let sender = UdpSocket::bind(("10.0.0.2", port)).expect("binds");
            sender.send_to(b"x", ("239.1.1.1", port)).expect("is sent");
        }
        let mut counts: Vec<usize> =
            sockets.iter().map(|socket| frames(socket, usize::MAX).len()).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 0, 32]);
    });
}
