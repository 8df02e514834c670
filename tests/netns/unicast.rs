//! The exit of a tunnel (unicast in, multicast out) and an output that routing decides.
//!
//! ```text
//!  +----------------+        +-----------------------------------+        +-------------------+
//!  | source         |        | relay                             |        | receiver          |
//!  | src0           |--------| in0                          out0 |--------| rcv0 10.2.0.9/24  |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24           10.2.0.1/24 |  veth  | lo   10.9.0.9/32  |
//!  +----------------+        +-----------------------------------+        +-------------------+
//!  10.1.0.1:5000 -> 239.2.2.2:6000 on out0        239.1.1.1:5000 -> 10.9.0.9:8000 via 10.2.0.9
//! ```

use crate::lab::{Lab, Receive, Relay, Send, counter, output, rule, sender, sent};
use std::net::{Ipv4Addr, SocketAddrV4};

const COUNT: u64 = 1_000;

pub(crate) fn tunnel_exit(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    receiver.address("lo", "10.9.0.9/32");
    relay.run("ip route add 10.9.0.9/32 via 10.2.0.9");
    let mcrd = Relay::start(&relay, lab.directory());
    mcrd.add(
        "--name exit --input-interface in0 --input-group 10.1.0.1 --input-port 5000 \
         --outputs 239.2.2.2:6000:out0",
    );
    mcrd.add(
        "--name entry --input-interface in0 --input-group 239.1.1.1 --input-port 5000 \
         --outputs 10.9.0.9:8000",
    );
    mcrd.wait_state("exit", "active");
    mcrd.wait_state("entry", "active");

    let multicast = Receive::count("rcv0", "239.2.2.2", 6000, COUNT).start(&receiver);
    let unicast = Receive::count("rcv0", "10.9.0.9", 8000, COUNT).start(&receiver);
    for (to, stream) in [("10.1.0.1", 1), ("239.1.1.1", 2)] {
        Send {
            interface: "src0",
            to: (to, 5000),
            rate: 2_000,
            count: COUNT,
            stream,
            args: "--size 1200",
        }
        .run(&source);
    }
    multicast.report().assert_perfect("unicast to multicast", COUNT);
    unicast.report().assert_perfect("multicast to unicast by routing", COUNT);
    // Nobody told the sender that the port was closed.
    assert_eq!(counter(&source, "Icmp", "InDestUnreachs"), 0);
    assert_eq!(counter(&relay, "Icmp", "OutDestUnreachs"), 0);
    assert_eq!(counter(&relay, "Udp", "NoPorts"), 0);

    // A connected socket would get the error of an earlier send here.
    let socket = sender(&source, Ipv4Addr::new(10, 1, 0, 10), 4000);
    socket.connect(SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 1), 5000)).expect("connected");
    for _ in 0..10 {
        socket.send(b"again").expect("no port unreachable");
    }
    let stats = mcrd.json(&["stats"]);
    assert_eq!(sent(output(rule(&stats, "entry"), 0)), COUNT, "{stats}");
    mcrd.stop();
}
