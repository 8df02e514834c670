//! A rule names interfaces that may not exist; it follows them.
//!
//! ```text
//!  +----------+        +--------------------------+        +------------+
//!  | source   |        | relay                    |        | receiver   |
//!  | src0     |--------| in0     comes, goes,     |--------| rcv0       |
//!  |          |  veth  |         is renamed  out0 |  veth  |            |
//!  +----------+        +--------------------------+        +------------+
//! ```

use crate::lab::{
    Lab, Namespace, Relay, SOON, Steady, first_datagram, listen, output, sender, state,
};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddrV4};

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

/// Three namespaces, and the relay's control.
struct World {
    source: Namespace,
    relay: Namespace,
    receiver: Namespace,
    mcrd: Relay,
}

pub(crate) fn follows_interfaces(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    let mcrd = Relay::start(&relay, lab.directory());
    let world = World { source, relay, receiver, mcrd };
    world.mcrd.add(
        "--name main --input-interface in0 --input-group 239.1.1.1 --input-port 5000 \
         --outputs 239.2.2.2:6000:out0",
    );
    world.waits_for(&["in0"], "neither interface exists");

    lab.veth((&world.source, "src0"), (&world.relay, "in0"), 1500);
    world.source.address("src0", &format!("{SOURCE}/24"));
    world.relay.address("in0", "10.1.0.1/24");
    world.waits_for(&["out0"], "the output does not exist");

    // The output appears step by step: existing, up, with carrier, with an address.
    world.relay.run("ip link add out0 type veth peer name rcv0 netns receiver");
    world.waits_for(&["out0", "down"], "the output is set down");
    world.relay.run("ip link set out0 up");
    world.waits_for(&["out0", "carrier"], "the output has no carrier");
    world.receiver.run("ip link set rcv0 up");
    world.receiver.address("rcv0", "10.2.0.9/24");
    world.waits_for(&["out0", "address"], "the output has no address");
    world.relay.address("out0", "10.2.0.1/24");
    world.forwards("everything is there");

    // Each of these takes it away again, and gives it back.
    for (take, give, reason) in [
        ("ip address del 10.2.0.1/24 dev out0", "ip address add 10.2.0.1/24 dev out0", "address"),
        ("ip link set out0 down", "ip link set out0 up", "down"),
        ("ip link set in0 down", "ip link set in0 up", "in0"),
    ] {
        world.relay.run(take);
        world.waits_for(&[reason], take);
        world.relay.run(give);
        world.forwards(give);
    }
    world.receiver.run("ip link set rcv0 down");
    world.waits_for(&["out0", "carrier"], "carrier lost");
    world.receiver.run("ip link set rcv0 up");
    world.forwards("carrier is back");

    renamed(&world);
    returns_with_another_index(lab, &world);
    world.mcrd.stop();
}

fn renamed(world: &World) {
    world.relay.run("ip link set out0 down");
    world.relay.run("ip link set out0 name other0");
    world.relay.run("ip link set other0 up");
    world.waits_for(&["out0"], "renamed away");
    world.relay.run("ip link set other0 down");
    world.relay.run("ip link set other0 name out0");
    world.relay.run("ip link set out0 up");
    world.forwards("renamed to match");
}

fn returns_with_another_index(lab: &Lab, world: &World) {
    let before = world.relay.index("in0");
    world.relay.run("ip link del in0");
    world.waits_for(&["in0"], "the input is gone");
    // Something else takes the number in between.
    world.relay.run("ip link add between type veth peer name neewteb");
    lab.veth((&world.source, "src0"), (&world.relay, "in0"), 1500);
    world.source.address("src0", &format!("{SOURCE}/24"));
    world.relay.address("in0", "10.1.0.1/24");
    assert_ne!(world.relay.index("in0"), before);
    world.forwards("the input returned with another index");
}

impl World {
    /// The rule becomes pending, and its reason (or its output's) holds these words.
    fn waits_for(&self, words: &[&str], why: &str) {
        let rule = crate::lab::wait_for(&format!("pending, because {why}"), SOON, || {
            let list = self.mcrd.json(&["list"]);
            let rule = crate::lab::rule(&list, "main").clone();
            let reasons = format!("{} {}", reason(&rule), reason(output(&rule, 0)));
            let said = words.iter().all(|word| reasons.contains(word));
            if state(&rule) == "pending" && said { Ok(rule) } else { Err(rule.to_string()) }
        });
        assert!(!reason(&rule).is_empty(), "pending without a reason: {rule}");
    }

    /// The rule becomes active and really forwards.
    fn forwards(&self, why: &str) {
        let rule = self.mcrd.wait_state("main", "active");
        assert_eq!(state(output(&rule, 0)), "active");
        assert_eq!(reason(&rule), "", "an active rule has no reason: {rule}");
        let member = listen(&self.receiver, "rcv0", Ipv4Addr::new(239, 2, 2, 2), 6000);
        let socket = sender(&self.source, SOURCE, 4000);
        let steady = Steady::start(socket, SocketAddrV4::new(GROUP, 5000));
        assert!(
            first_datagram(&member, SOON).is_some(),
            "{why}: active, but nothing comes: {rule}"
        );
        drop(steady);
    }
}

fn reason(of: &Value) -> &str {
    of["reason"].as_str().unwrap_or_default()
}
