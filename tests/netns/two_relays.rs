//! Two relays that both join the same two networks, each in both directions, for one group: without
//! an end to it every datagram would go round for ever.
//!
//! ```text
//!            +-- LAN a (bridge) --+                    +-- LAN b (bridge) --+
//!  host a ---|                    |--- a1 relay 1 b1 ---|                    |--- host b
//!  10.1.0.10 |                    |--- a2 relay 2 b2 ---|                    |    10.2.0.9
//!            +--------------------+                    +--------------------+
//!  relay N: 10.1.0.N on aN, 10.2.0.N on bN; 239.1.1.1:5000 from aN to bN and from bN to aN
//! ```
//! Host a sends; nftables counts what comes to host b on LAN b, and back to host a on LAN a.

use crate::lab::{
    Frame, Injector, Lab, Namespace, Relay, SOON, Witness, drops, output, port, rule, wait_for,
    wanted,
};
use serde_json::Value;
use std::net::Ipv4Addr;

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const COUNT: u64 = 100;

struct World {
    host_a: Namespace,
    host_b: Namespace,
    relays: [Namespace; 2],
}

fn topology(lab: &Lab) -> World {
    let [host_a, host_b, one, two] =
        ["host-a", "host-b", "relay1", "relay2"].map(|name| lab.namespace(name));
    for (lan, hosts) in [
        (
            "lan-a",
            [
                (&host_a, "hosta", "10.1.0.10/24"),
                (&one, "a1", "10.1.0.1/24"),
                (&two, "a2", "10.1.0.2/24"),
            ],
        ),
        (
            "lan-b",
            [
                (&host_b, "hostb", "10.2.0.9/24"),
                (&one, "b1", "10.2.0.1/24"),
                (&two, "b2", "10.2.0.2/24"),
            ],
        ),
    ] {
        lab.lan(lan, "mcast_snooping 0", &hosts);
        hosts.iter().for_each(|(host, interface, _)| host.plain_frames(interface));
    }
    World { host_a, host_b, relays: [one, two] }
}

/// Both directions, unchanged.
fn file(number: usize, more: &str) -> String {
    let rule = |from: &str, to: &str| {
        format!(
            r#"{{ name: "{from}-{to}",
                 input: {{ interface: "{from}{number}", group: "{GROUP}", port: 5000 }},
                 outputs: [{{ interface: "{to}{number}"{more} }}] }}"#
        )
    };
    format!("{{ rules: [{}, {}] }}", rule("a", "b"), rule("b", "a"))
}

impl World {
    fn start(&self, lab: &Lab, more: &str) -> [Relay; 2] {
        [0, 1].map(|index| {
            let directory = lab.directory().join(format!("relay{}", index + 1));
            std::fs::create_dir_all(&directory).expect("a directory for its socket");
            let text = file(index + 1, more);
            let mcrd = Relay::with_config(&self.relays[index], &directory, &text);
            mcrd.wait_all_active(2);
            mcrd
        })
    }

    /// Sends `COUNT` datagrams with this TTL, each when the one before has come to LAN b so many
    /// times, and waits until nothing moves any more; how many frames came to each LAN, those of
    /// host a not included.
    fn rounds(&self, relays: &[Relay; 2], ttl: u8, each: u64) -> (u64, u64) {
        let at_a = Witness::new(&self.host_a, "hosta", 5000);
        let at_b = Witness::new(&self.host_b, "hostb", 5000);
        let injector = Injector::new(&self.host_a, "hosta");
        let frame = Frame::udp(SOURCE, GROUP, 5000, b"round and round").ttl(ttl);
        for sent in 1..=COUNT {
            injector.send(&frame);
            // In step with the relays, so that no queue overflows whatever the machine does.
            wait_for(&format!("datagram {sent} has gone round"), SOON, || match at_b.packets() {
                count if count >= each * sent => Ok(()),
                count => Err(count),
            });
        }
        let now = || (at_a.packets(), at_b.packets());
        let mut before = now();
        let mut still = std::time::Instant::now();
        wait_for("nothing moves for 300 ms", SOON, || {
            let after = now();
            if after != before {
                before = after;
                still = std::time::Instant::now();
            }
            let quiet = still.elapsed() >= std::time::Duration::from_millis(300);
            if quiet { Ok(()) } else { Err(format!("{after:?}")) }
        });
        for relay in relays {
            let stats = relay.json(&["stats"]);
            for port in stats["ports"].as_array().expect("ports") {
                assert_eq!(port["kernelDropped"], 0, "{port}");
            }
            assert_eq!(stats["ledger"]["closes"], true, "{}", stats["ledger"]);
        }
        at_a.remove();
        at_b.remove();
        before
    }
}

/// The drops of one name in all outputs of both relays.
fn dropped(relays: &[Relay; 2], reason: &str) -> u64 {
    let of = |stats: &Value| {
        let outputs = ["a-b", "b-a"].map(|name| drops(output(rule(stats, name), 0), reason));
        outputs.iter().sum::<u64>()
    };
    relays.iter().map(|relay| of(&relay.json(&["stats"]))).sum()
}

pub(crate) fn bounded(lab: &Lab) {
    let world = topology(lab);
    let relays = world.start(lab, "");
    let (at_a, at_b) = world.rounds(&relays, 1, 8);
    println!("{COUNT} datagrams: {at_a} frames came back to LAN a, {at_b} came to LAN b");
    // Each relay takes the datagram from LAN a, and each copy is taken by the other relay: two
    // chains of eight copies, with TTLs from 16 down to 9.
    assert_eq!((at_a, at_b), (8 * COUNT, 8 * COUNT));
    assert_eq!(dropped(&relays, "relay_loop"), 2 * COUNT, "the end of each chain has a name");
    // A relay never hears itself on a bridge; what it says again comes from the other one.
    for (relay, number) in relays.iter().zip(1..) {
        let stats = relay.json(&["stats"]);
        for side in ["a", "b"] {
            let input = port(&stats, &format!("{side}{number}"));
            assert_eq!(drops(input, "own_source"), 0, "{input}");
        }
        let wants: u64 =
            ["a-b", "b-a"].iter().map(|name| wanted(output(rule(&stats, name), 0))).sum();
        assert_eq!(wants, 9 * COUNT, "a relay takes each datagram once and eight copies");
    }
    relays.into_iter().for_each(Relay::stop);
}

pub(crate) fn kept_source(lab: &Lab) {
    let world = topology(lab);
    let relays = world.start(lab, r#", source: "keep""#);
    let (at_a, at_b) = world.rounds(&relays, 6, 6);
    println!("{COUNT} datagrams: {at_a} frames came back to LAN a, {at_b} came to LAN b");
    // TTLs of the two chains: 5, 3, 1 on LAN b; 4, 2 on LAN a; what arrives with 1 ends.
    assert_eq!((at_a, at_b), (4 * COUNT, 6 * COUNT));
    assert_eq!(dropped(&relays, "ttl_expired"), 2 * COUNT, "the end of each chain has a name");
    relays.into_iter().for_each(Relay::stop);
}
