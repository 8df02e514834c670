//! 500 groups from 3 sources on one interface, with every sysctl of the relay at its default:
//! igmp_max_memberships is 20 there, and it is a limit of each socket.
//!
//! ```text
//!  +-----------------------+        +-------------------------+        +---------------+
//!  | source                |        | relay                   |        | receiver      |
//!  | src0 10.1.0.10/24     |--------| in0                out0 |--------| rcv0          |
//!  |      .11  .12         |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +-----------------------+        +-------------------------+        +---------------+
//!  239.1.x.y:5000 -> 239.2.x.y:6000, 500 times
//! ```

use crate::lab::{
    Capture, Lab, Relay, SOON, drops, output, port, rule, sender, sent, verify, wait_for,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

const GROUPS: u16 = 500;
const SOURCES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 1, 0, 10), Ipv4Addr::new(10, 1, 0, 11), Ipv4Addr::new(10, 1, 0, 12)];

fn group(side: u8, number: u16) -> Ipv4Addr {
    let [high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(239, side, high, low)
}

pub(crate) fn five_hundred(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    for address in SOURCES {
        source.address("src0", &format!("{address}/24"));
    }
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    assert_eq!(
        relay.read("/proc/sys/net/ipv4/igmp_max_memberships").trim(),
        "20",
        "the relay's sysctls are at their defaults"
    );

    let capture = Capture::igmp(&source);
    let mcrd = Relay::with_config(&relay, lab.directory(), &file());
    mcrd.wait_all_active(usize::from(GROUPS));
    asked_upstream(&relay, &capture, &mcrd);

    let member = listen_to_all(&receiver);
    let rounds = if verify() { 200 } else { 10 };
    let senders = SOURCES.map(|address| sender(&source, address, 4000));
    // (output group, source port) -> what came with it: original source and sequence.
    let mut flows: BTreeMap<(Ipv4Addr, u16), Vec<(u8, u32)>> = BTreeMap::new();
    for round in 0..rounds {
        for (number, from) in (0..GROUPS).flat_map(|g| (0_u8..3).map(move |s| (g, s))) {
            let mut payload = vec![from];
            payload.extend(u32::to_be_bytes(round));
            let to = SocketAddrV4::new(group(1, number), 5000);
            senders[usize::from(from)].send_to(&payload, to).expect("sent");
            // In lock step by rounds of one group: no queue anywhere can overflow.
            if from == 2 {
                receive(&member, 3, &mut flows);
            }
        }
    }
    assert_eq!(flows.len(), 3 * usize::from(GROUPS), "one flow for each source and group");
    let mut seen = BTreeSet::new();
    for ((to, source_port), datagrams) in &flows {
        let from = datagrams[0].0;
        let expected: Vec<_> = (0..rounds).map(|round| (from, round)).collect();
        assert!(*datagrams == expected, "{to} from port {source_port}: {datagrams:?}");
        seen.insert((*to, from));
    }
    assert_eq!(seen.len(), 3 * usize::from(GROUPS), "every source in every group");

    let stats = mcrd.json(&["stats"]);
    let each = 3 * u64::from(rounds);
    for number in 0..GROUPS {
        assert_eq!(sent(output(rule(&stats, &format!("g{number}")), 0)), each, "group {number}");
    }
    assert_eq!(drops(port(&stats, "in0"), "no_rule"), 0);
    mcrd.stop();
    // On leaving, nothing stays behind in the interface's filter.
    let macs = group_macs(&relay);
    assert!(!macs.contains("01005e010001"), "{macs:?}");
}

fn file() -> String {
    let mut text = String::from("{ rules: [\n");
    for number in 0..GROUPS {
        writeln!(
            text,
            r#"  {{ name: "g{number}", input: {{ interface: "in0", group: "{}", port: 5000 }}, outputs: [{{ interface: "out0", group: "{}", port: 6000 }}] }},"#,
            group(1, number),
            group(2, number)
        )
        .expect("a String grows");
    }
    text + "] }\n"
}

/// On the wire, in the interface's MAC filter, and in our own view.
fn asked_upstream(relay: &crate::lab::Namespace, capture: &Capture, mcrd: &Relay) {
    wait_for("500 groups in IGMPv3 reports", SOON, || {
        let asked = capture.asked();
        let missing =
            (0..GROUPS).filter(|number| !asked.contains(&(group(1, *number), None))).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing")) }
    });
    let macs = group_macs(relay);
    for number in 0..GROUPS {
        let [_, b, c, d] = group(1, number).octets();
        let mac = format!("01005e{:02x}{c:02x}{d:02x}", b & 0x7f);
        assert!(macs.contains(&mac), "{mac} is not in /proc/net/dev_mcast");
    }
    let mroute = mcrd.json(&["mroute"]);
    let memberships = mroute["memberships"].as_array().expect("memberships");
    assert_eq!(memberships.len(), usize::from(GROUPS));
    let refused = memberships.iter().find(|membership| membership["joined"] != true);
    assert!(refused.is_none(), "{refused:?}");
}

/// The addresses in `in0`'s multicast filter.
fn group_macs(relay: &crate::lab::Namespace) -> BTreeSet<String> {
    // Columns: index, name, users, global users, address.
    let text = relay.read("/proc/net/dev_mcast");
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.get(1) == Some(&"in0"))
        .filter_map(|words| words.get(4).map(|mac| (*mac).to_owned()))
        .collect()
}

/// One socket in all 500 output groups; it is told the group of each datagram. Only this host may
/// raise its sysctl: it is not the relay.
fn listen_to_all(receiver: &crate::lab::Namespace) -> UdpSocket {
    receiver.sysctl("net.ipv4.igmp_max_memberships", "1000");
    let index = receiver.index("rcv0");
    receiver.within(|| {
        let socket =
            Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a UDP socket");
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 6000).into()).expect("bound");
        for number in 0..GROUPS {
            socket
                .join_multicast_v4_n(&group(2, number), &InterfaceIndexOrAddress::Index(index))
                .expect("joined");
        }
        nix::sys::socket::setsockopt(
            &socket.as_fd(),
            nix::sys::socket::sockopt::Ipv4PacketInfo,
            &true,
        )
        .expect("IP_PKTINFO");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
        socket.into()
    })
}

fn receive(
    member: &UdpSocket,
    count: usize,
    flows: &mut BTreeMap<(Ipv4Addr, u16), Vec<(u8, u32)>>,
) {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};
    use std::os::fd::AsRawFd;
    for _ in 0..count {
        let mut space = nix::cmsg_space!(nix::libc::in_pktinfo);
        let mut payload = [0; 64];
        let mut slices = [std::io::IoSliceMut::new(&mut payload)];
        let message = recvmsg::<SockaddrIn>(
            member.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::empty(),
        )
        .unwrap_or_else(|error| panic!("a copy is missing ({error}) after {} flows", flows.len()));
        let to = message
            .cmsgs()
            .expect("whole control messages")
            .find_map(|message| match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)))
                }
                _ => None,
            })
            .expect("the group");
        let from = message.address.expect("a source").port();
        let sequence = u32::from_be_bytes(payload[1..5].try_into().expect("5 bytes"));
        flows.entry((to, from)).or_default().push((payload[0], sequence));
    }
}
