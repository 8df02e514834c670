//! Two sources of one group: they stay two flows; a rule may name the one that it wants.
//!
//! ```text
//!  +-----------------+        +-----------------------+        +---------------+
//!  | source          |        | relay                 |        | receiver      |
//!  | src0 10.1.0.10  |--------| in0              out0 |--------| rcv0          |
//!  |      10.1.0.11  |  veth  | 10.1.0.1/24  10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +-----------------+        +-----------------------+        +---------------+
//! ```

use crate::lab::{
    Capture, Lab, Namespace, Relay, SOON, Steady, drops, first_datagram, listen, output, port,
    rule, sender, sent, wait_for,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 11);
const COUNT: u32 = 1_000;

fn topology(lab: &Lab) -> [Namespace; 3] {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    source.address("src0", &format!("{FIRST}/24"));
    source.address("src0", &format!("{SECOND}/24"));
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    [source, relay, receiver]
}

pub(crate) fn any_source(lab: &Lab) {
    let [source, relay, receiver] = topology(lab);
    let mcrd = Relay::start(&relay, lab.directory());
    mcrd.add(
        "--name both --input-interface in0 --input-group 239.1.1.1 --input-port 5000 \
         --outputs 239.2.2.2:6000:out0",
    );
    mcrd.wait_state("both", "active");
    let member = listen(&receiver, "rcv0", Ipv4Addr::new(239, 2, 2, 2), 6000);
    // The same source port: only the address tells them apart.
    let senders = [(b'a', sender(&source, FIRST, 4000)), (b'b', sender(&source, SECOND, 4000))];
    let mut got: BTreeMap<u16, Vec<(u8, u32)>> = BTreeMap::new();
    for number in 0..COUNT {
        for (mark, socket) in &senders {
            let mut payload = vec![*mark];
            payload.extend(number.to_be_bytes());
            socket
                .send_to(&payload, SocketAddrV4::new(Ipv4Addr::new(239, 1, 1, 1), 5000))
                .expect("sent");
            let (_, from, payload) = first_datagram(&member, SOON).expect("the copy");
            assert_eq!(from.ip(), Ipv4Addr::new(10, 2, 0, 1));
            let sequence = u32::from_be_bytes(payload[1..5].try_into().expect("5 bytes"));
            got.entry(from.port()).or_default().push((payload[0], sequence));
        }
    }
    assert_eq!(got.len(), 2, "two source ports at the receiver, one for each sender");
    let mut marks = BTreeSet::new();
    for (port, datagrams) in &got {
        let mark = datagrams[0].0;
        let expected: Vec<_> = (0..COUNT).map(|number| (mark, number)).collect();
        assert!(*datagrams == expected, "source port {port} mixes or reorders senders");
        marks.insert(mark);
    }
    assert_eq!(marks, BTreeSet::from([b'a', b'b']));
    mcrd.stop();
}

pub(crate) fn one_source(lab: &Lab) {
    let [source, relay, receiver] = topology(lab);
    let capture = Capture::igmp(&source);
    let mcrd = Relay::start(&relay, lab.directory());
    mcrd.add(&format!(
        "--name ssm --input-interface in0 --input-group 232.1.1.1 --input-port 5000 \
         --source {FIRST} --outputs 239.2.2.2:6000:out0"
    ));
    mcrd.wait_state("ssm", "active");

    // RFC 4607: we ask for (S,G), never for the group from everybody.
    let group = Ipv4Addr::new(232, 1, 1, 1);
    wait_for("a report for (S,G) on the wire", SOON, || {
        let asked = capture.asked();
        if asked.contains(&(group, Some(FIRST))) { Ok(()) } else { Err(format!("{asked:?}")) }
    });
    assert!(!capture.asked().contains(&(group, None)), "{:?}", capture.asked());
    let filters = relay.read("/proc/net/mcfilter");
    // Columns: number, device, group, source, included, excluded.
    assert!(
        filters.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words[1..] == ["in0", "0xe8010101", "0x0a01000a", "1", "0"]
        }),
        "{filters}"
    );

    let member = listen(&receiver, "rcv0", Ipv4Addr::new(239, 2, 2, 2), 6000);
    let to = SocketAddrV4::new(group, 5000);
    let other = sender(&source, SECOND, 4000);
    for _ in 0..100 {
        other.send_to(b"unwanted", to).expect("sent");
    }
    let steady = Steady::start(sender(&source, FIRST, 4000), to);
    for _ in 0..100 {
        let (_, _, payload) = first_datagram(&member, SOON).expect("the wanted source");
        assert_eq!(payload, b"steady");
    }
    drop(steady);
    let stats = mcrd.json(&["stats"]);
    assert!(sent(output(rule(&stats, "ssm"), 0)) >= 100);
    // The other one is explained, too.
    assert_eq!(drops(port(&stats, "in0"), "source_filtered"), 100, "{stats}");
    mcrd.stop();
}
