//! Interfaces that come and go: each time the relay forwards again by itself, and another rule does
//! not notice.
//!
//! ```text
//!  +--------------+        +-------------------------+        +--------------+
//!  | source  src0 |--------| in0                out0 |========| rcv0         |   === is removed and
//!  |         src1 |========| in1                out1 |--------| rcv1         |       made again in
//!  +--------------+  veth  |                    out2 |--------| rcv2         |       each cycle
//!                          | relay                   |  veth  |     receiver |
//!                          +-------------------------+        +--------------+
//!  "to":    in0 239.1.1.1 -> out0         "from": in1 239.1.1.2 -> out1
//!  "other": in0 239.1.1.3 -> out2, for the whole time
//! ```

use crate::lab::{
    AddressWatch, Lab, Namespace, Receive, Relay, SOON, Send, Steady, first_datagram, listen,
    sender, verify,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const OUT: Ipv4Addr = Ipv4Addr::new(239, 2, 2, 2);

struct World {
    source: Namespace,
    relay: Namespace,
    receiver: Namespace,
}

pub(crate) fn recreated(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    for (number, name) in [(3, "out1"), (4, "out2")] {
        let far = name.replace("out", "rcv");
        lab.veth((&relay, name), (&receiver, &far), 1500);
        relay.address(name, &format!("10.{number}.0.1/24"));
        receiver.address(&far, &format!("10.{number}.0.9/24"));
    }
    let world = World { source, relay, receiver };
    let mcrd = Relay::start(&world.relay, lab.directory());
    for (name, input, group, out) in
        [("to", "in0", 1, "out0"), ("from", "in1", 2, "out1"), ("other", "in0", 3, "out2")]
    {
        mcrd.add(&format!(
            "--name {name} --input-interface {input} --input-group 239.1.1.{group} \
             --input-port 5000 --outputs {OUT}:6000:{out}"
        ));
    }
    mcrd.wait_state("other", "active");
    let other = Receive {
        interface: "rcv2",
        at: ("239.2.2.2", 6000),
        groups: 1,
        count: None,
        duration: SOON * 60,
    };
    let other = other.start(&world.receiver);
    // It sends until it is stopped below.
    let stream = Send {
        interface: "src0",
        to: ("239.1.1.3", 5000),
        rate: 5_000,
        count: 1_000_000_000,
        stream: 1,
        args: "--size 700",
    }
    .start(&world.source);
    let to = sender(&world.source, Ipv4Addr::new(10, 1, 0, 10), 4000);
    let to = Steady::start(to, SocketAddrV4::new(Ipv4Addr::new(239, 1, 1, 1), 5000));

    let cycles = if verify() { 200 } else { 20 };
    let watch = AddressWatch::new(&world.relay);
    let (mut as_output, mut as_input) = (Vec::new(), Vec::new());
    for cycle in 0..cycles {
        as_output.push(world.output_returns(lab, &watch, cycle));
        as_input.push(world.input_returns(lab, &watch, cycle));
        world.relay.run("ip link del out0");
        world.relay.run("ip link del in1");
        mcrd.wait_state("to", "pending");
        mcrd.wait_state("from", "pending");
    }
    drop(to);
    drop(stream);
    other.report().assert_flawless("the other rule");
    for (what, times) in [("output", &mut as_output), ("input", &mut as_input)] {
        times.sort();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!(
            "re-created {what}: RTM_NEWADDR to the first copy at the receiver, {cycles} cycles: \
             p50 {p50:?}, p99 {p99:?} (resolution {:?})",
            Steady::INTERVAL
        );
        assert!(p99 < Duration::from_secs(1), "it takes {p99:?} until {what} forwards again");
    }
    mcrd.stop();
}

impl World {
    fn output_returns(&self, lab: &Lab, watch: &AddressWatch, cycle: u32) -> Duration {
        lab.veth((&self.relay, "out0"), (&self.receiver, "rcv0"), 1500);
        self.receiver.address("rcv0", "10.2.0.9/24");
        let member = listen(&self.receiver, "rcv0", OUT, 6000);
        self.time_from_address(watch, &member, ("out0", "10.2.0.1/24"), cycle)
    }

    fn input_returns(&self, lab: &Lab, watch: &AddressWatch, cycle: u32) -> Duration {
        lab.veth((&self.source, "src1"), (&self.relay, "in1"), 1500);
        self.source.address("src1", "10.5.0.10/24");
        let from = sender(&self.source, Ipv4Addr::new(10, 5, 0, 10), 4001);
        let steady = Steady::start(from, SocketAddrV4::new(Ipv4Addr::new(239, 1, 1, 2), 5000));
        let member = listen(&self.receiver, "rcv1", OUT, 6000);
        let time = self.time_from_address(watch, &member, ("in1", "10.5.0.1/24"), cycle);
        drop(steady);
        time
    }

    /// Gives the interface its address, and returns the time from the kernel's announcement of it
    /// to the first datagram at the receiver; zero where the datagram did not wait for the address.
    fn time_from_address(
        &self,
        watch: &AddressWatch,
        member: &std::net::UdpSocket,
        (interface, address): (&str, &str),
        cycle: u32,
    ) -> Duration {
        let index = self.relay.index(interface);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| first_datagram(member, SOON));
            let announced = scope.spawn(|| watch.wait(index));
            self.relay.address(interface, address);
            let announced = announced.join().expect("the announcement");
            let first = first.join().expect("no panic while receiving");
            let (arrived, ..) = first.unwrap_or_else(|| {
                panic!("cycle {cycle}: {interface} is back, but nothing is forwarded")
            });
            arrived.saturating_duration_since(announced)
        })
    }
}
