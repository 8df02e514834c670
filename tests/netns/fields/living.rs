//! Fields that bytes on the wire do not show.

use super::row::{GROUP, PORT, SOURCE};
use crate::lab::{
    Frame, Injector, Lab, Line, Relay, SOON, first_datagram, gets_through, listen, output, rule,
    sent, state, wait_for,
};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

const APPLICATIONS: Ipv4Addr = Ipv4Addr::new(239, 9, 9, 9);

/// Selectors bind to interfaces that appear later, on both sides.
pub(crate) fn appearing(lab: &Lab) {
    let line = Line::new(lab);
    let mcrd = Relay::with_config(
        &line.relay,
        lab.directory(),
        r#"{ rules: [{ name: "later", input: { interfaces: [{ nameGlob: "later*" }],
             group: "239.1.1.1", port: 5000 },
             outputs: [{ interfaces: [{ altName: "an-output-that-comes-later" }],
                         group: "239.2.2.2", port: 6000 }] }] }"#,
    );
    let waiting = mcrd.wait_state("later", "pending");
    let text = waiting.to_string();
    assert!(text.contains("later*") && text.contains("an-output-that-comes-later"), "{text}");

    line.output(lab, 5, 1500);
    line.relay.run("ip link property add dev out5 altname an-output-that-comes-later");
    lab.veth((&line.source, "src5"), (&line.relay, "later5"), 1500);
    line.source.address("src5", "10.8.0.10/24");
    line.relay.address("later5", "10.8.0.1/24");
    mcrd.wait_state("later", "active");
    gets_through(
        (&line.source, Ipv4Addr::new(10, 8, 0, 10), GROUP, PORT),
        (&line.receiver, "rcv5", Ipv4Addr::new(239, 2, 2, 2), 6000),
    );
    // What it selected goes, and so does its selection.
    line.relay.run("ip link property del dev out5 altname an-output-that-comes-later");
    mcrd.wait_state("later", "pending");
    mcrd.stop();
}

/// `local: true`: programs on the relay's host receive copies, to a group and to an address.
pub(crate) fn local(lab: &Lab) {
    let line = Line::new(lab);
    let mcrd = Relay::with_config(
        &line.relay,
        lab.directory(),
        r#"{ rules: [{ name: "here", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
             outputs: [{ group: "239.9.9.9", port: 7000, local: true },
                       { address: "127.0.0.1", port: 7001, local: true }] }] }"#,
    );
    mcrd.wait_state("here", "active");
    // A program that has joined the group on some interface, as programs do.
    let member = line.relay.within(|| {
        let socket = UdpSocket::bind((APPLICATIONS, 7000)).expect("bound to the group");
        socket
            .join_multicast_v4(&APPLICATIONS, &Ipv4Addr::new(10, 2, 0, 1))
            .expect("joined on out0");
        socket
    });
    let server = line.relay.within(|| UdpSocket::bind(("127.0.0.1", 7001)).expect("bound"));
    // Nothing of it leaves the host.
    let outside = listen(&line.receiver, "rcv0", APPLICATIONS, 7000);
    let injector = Injector::new(&line.source, "src0");
    wait_for("the first copy", SOON, || {
        injector.send(&Frame::udp(SOURCE, GROUP, PORT, b"begin"));
        let first = first_datagram(&member, std::time::Duration::from_millis(50));
        first.map(|_| ()).ok_or("nothing")
    });
    injector.send(&Frame::udp(SOURCE, GROUP, PORT, b"to programs"));
    for socket in [&member, &server] {
        let (from, payload) = loop {
            let (_, from, payload) = first_datagram(socket, SOON).expect("a copy");
            if payload != b"begin" {
                break (from, payload);
            }
        };
        assert_eq!((from.ip(), &payload[..]), (Ipv4Addr::LOCALHOST.into(), &b"to programs"[..]));
    }
    let stats = mcrd.json(&["stats"]);
    let here = rule(&stats, "here");
    assert_eq!(sent(output(here, 0)), sent(output(here, 1)), "{here}");
    outside.set_nonblocking(true).expect("non-blocking");
    let leaked: Option<SocketAddr> = outside.recv_from(&mut [0; 64]).ok().map(|(_, from)| from);
    assert_eq!(leaked, None, "a copy left the host");
    mcrd.stop();
}

/// `join: "never"`: nothing is asked for, and what arrives all the same is relayed.
pub(crate) fn never_joined(lab: &Lab) {
    let line = Line::new(lab);
    let rule_with = |join: &str| {
        format!(
            r#"{{ rules: [{{ name: "{join}", input: {{ interface: "in0", group: "239.1.1.1",
                 port: 5000, join: "{join}" }},
                 outputs: [{{ interface: "out0", group: "239.2.2.2", port: 6000 }}] }}] }}"#
        )
    };
    // /proc/net/igmp has groups as hexadecimal numbers in host order.
    let joined = || {
        let group = format!("{:08X}", u32::from_ne_bytes(GROUP.octets()));
        line.relay.read("/proc/net/igmp").contains(&group)
    };
    let all_multicast = || line.relay.run("ip -d link show dev in0").contains(" allmulti 1 ");
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &rule_with("never"));
    for (join, asks) in [("never", false), ("always", true), ("never", false)] {
        mcrd.reload(&rule_with(join));
        let status = mcrd.wait_state(join, "active");
        assert_eq!(state(output(&status, 0)), "active");
        wait_for(&format!("with join {join} the group is asked for: {asks}"), SOON, || {
            match (joined(), all_multicast()) {
                (is, all) if is == asks && all != asks => Ok(()),
                other => Err(format!("joined, all multicast: {other:?}")),
            }
        });
        gets_through(
            (&line.source, SOURCE, GROUP, PORT),
            (&line.receiver, "rcv0", Ipv4Addr::new(239, 2, 2, 2), 6000),
        );
    }
    mcrd.stop();
}
