//! Datagrams that arrive in fragments leave whole, or in fragments of ours where the output's MTU
//! is small; what never becomes whole is counted.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay     out0 MTU 9000 |--------| rcv0          |
//!  | src0 MTU 1500  |--------| in0         10.2.0.1/24 |  veth  | 10.2.0.9/24   |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24             |        |               |
//!  +----------------+        |           out1 MTU 1500 |--------| rcv1          |
//!                            |             10.3.0.1/24 |  veth  | 10.3.0.9/24   |
//!                            +-------------------------+        +---------------+
//!  239.1.1.1:5000, 8972 bytes in 7 fragments -> 239.2.2.2 on out0 and 239.3.3.3 on out1 from the
//!  relay, 239.4.4.4 on out0 and 239.5.5.5 on out1 from the original source
//! ```

use crate::lab::{
    DONT_FRAGMENT, Frame, Injector, Lab, Line, Relay, SOON, Tap, drops, first_datagram, listen,
    output, port, rule, sent, wait_for,
};
use serde_json::Value;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// With its headers it fills an IP packet of 9,000 bytes.
const LARGE: usize = 8972;
/// The output: where it is seen, its group, in how many pieces, whether the source is the original.
const OUTPUTS: [(&str, &str, u8, usize, bool); 4] = [
    ("out0", "rcv0", 2, 1, false),
    ("out1", "rcv1", 3, 7, false),
    ("out0", "rcv0", 4, 1, true),
    ("out1", "rcv1", 5, 7, true),
];
/// Datagrams that can be incomplete at once.
const HELD: u64 = 64;

fn group(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(239, number, number, number)
}

fn file() -> String {
    let outputs = OUTPUTS.map(|(interface, _, number, _, keeps)| {
        let source = if keeps { "keep" } else { "interface" };
        let group = group(number);
        format!(r#"{{ interface: "{interface}", group: "{group}", source: "{source}" }}"#)
    });
    format!(
        r#"{{ rules: [{{ name: "large", input: {{ interface: "in0", group: "{GROUP}", port: 5000 }},
             outputs: [{}] }}] }}"#,
        outputs.join(", ")
    )
}

/// Unlike any other, so that a part in the wrong place shows.
fn payload(seed: u16) -> Vec<u8> {
    (0..LARGE).map(|at| (at * 31 + at / 251 + usize::from(seed) * 17) as u8).collect()
}

fn large(id: u16) -> Frame {
    Frame::udp(SOURCE, GROUP, 5000, &payload(id)).ttl(64).id(id)
}

struct World {
    line: Line,
    injector: Injector,
    members: Vec<UdpSocket>,
    mcrd: Relay,
}

fn world(lab: &Lab) -> World {
    let line = Line::with_outputs(lab, 1500, &[9000, 1500]);
    let members = OUTPUTS
        .map(|(_, interface, number, ..)| listen(&line.receiver, interface, group(number), 5000));
    let mcrd = Relay::with_config(&line.relay, lab.directory(), &file());
    mcrd.wait_state("large", "active");
    let injector = Injector::new(&line.source, "src0");
    let world = World { injector, members: members.into(), mcrd, line };
    world.ready();
    world
}

impl World {
    /// Until small datagrams come out at every member: the port is open.
    fn ready(&self) {
        let small = Frame::udp(SOURCE, GROUP, 5000, b"small").ttl(64);
        wait_for("small datagrams come through", SOON, || {
            self.injector.send(&small);
            let came = |member| first_datagram(member, Duration::from_millis(50)).is_some();
            if self.members.iter().all(came) { Ok(()) } else { Err("nothing") }
        });
        for member in &self.members {
            while first_datagram(member, Duration::from_millis(1)).is_some() {}
        }
    }

    fn send(&self, fragments: &[Frame]) {
        fragments.iter().for_each(|fragment| self.injector.send(fragment));
    }

    /// Each member receives these datagrams next, each unchanged.
    fn receives(&self, what: &str, ids: &[u16]) {
        for (member, (interface, _, number, ..)) in self.members.iter().zip(OUTPUTS) {
            for id in ids {
                let got = first_datagram(member, SOON);
                let (_, _, got) =
                    got.unwrap_or_else(|| panic!("{what}: nothing at group {number}, {interface}"));
                assert!(got == payload(*id), "{what}: group {number} on {interface}: wrong bytes");
            }
        }
    }

    fn drops(&self, reason: &str) -> u64 {
        drops(port(&self.mcrd.json(&["stats"]), "in0"), reason)
    }
}

pub(crate) fn whole(lab: &Lab) {
    let world = world(lab);
    let taps = ["rcv0", "rcv1"].map(|name| Tap::new(&world.line.receiver, name));
    let fragments = large(1).fragments(1500);
    assert_eq!(fragments.len(), 7);
    world.send(&fragments);
    world.receives("in order", &[1]);
    on_the_wire(&taps);

    let reversed: Vec<_> = large(2).fragments(1500).into_iter().rev().collect();
    world.send(&reversed);
    world.receives("reversed", &[2]);

    // Two datagrams at once, and the second one is whole first.
    let (a, b) = (large(3).fragments(1500), large(4).fragments(1500));
    for (a, b) in a.iter().zip(&b).take(6) {
        world.send(&[a.clone(), b.clone()]);
    }
    world.send(&[b[6].clone(), a[6].clone()]);
    world.receives("interleaved", &[4, 3]);

    // Two sources use the same number at once: the parts must not mix.
    let other = Frame::udp(Ipv4Addr::new(10, 1, 0, 11), GROUP, 5000, &payload(6)).ttl(64).id(5);
    for (a, b) in large(5).fragments(1500).into_iter().zip(other.fragments(1500)) {
        world.send(&[a, b]);
    }
    world.receives("two sources, one number", &[5, 6]);

    // Fragments that are smaller than what is to be sent: nothing depends on where the cuts are.
    world.send(&large(7).fragments(576));
    world.receives("small fragments", &[7]);

    // Repeated by the network: dropped alone, and the datagram is whole all the same.
    let mut doubled = large(8).fragments(1500);
    doubled.insert(3, doubled[2].clone());
    world.send(&doubled);
    world.receives("a repeated fragment", &[8]);
    wait_for("the repeated fragment is counted", SOON, || match world.drops("fragment_invalid") {
        1 => Ok(()),
        other => Err(other),
    });

    counters_close(&world.mcrd.json(&["stats"]));
    world.mcrd.stop();
}

/// What left: 9,000 bytes at once where there is room, fragments of at most 1,500 where not.
fn on_the_wire(taps: &[Tap; 2]) {
    for (tap, interface) in taps.iter().zip(["rcv0", "rcv1"]) {
        let mut frames: Vec<Frame> = Vec::new();
        let wanted: usize = OUTPUTS.iter().filter(|out| out.1 == interface).map(|out| out.3).sum();
        while frames.len() < wanted {
            let frame = tap.next(SOON).unwrap_or_else(|| panic!("too few: {frames:?}"));
            if frame.to() != Ipv4Addr::new(224, 0, 0, 22) {
                frames.push(frame);
            }
        }
        for (_, _, number, pieces, keeps) in OUTPUTS.iter().filter(|out| out.1 == interface) {
            let mine = frames.iter().filter(|frame| frame.to() == group(*number));
            let mine: Vec<Frame> = mine.cloned().collect();
            assert_eq!(mine.len(), *pieces, "group {number} on {interface}");
            let limit = if interface == "rcv0" { 9014 } else { 1514 };
            assert!(mine.iter().all(|frame| frame.bytes().len() <= limit), "{mine:?}");
            let whole = Frame::whole(mine);
            let sender: [u8; 4] = whole.ip_header()[12..16].try_into().expect("4 bytes");
            if *keeps {
                // Number and DF are the sender's, and so is the source.
                assert_eq!(Ipv4Addr::from(sender), SOURCE);
                assert_eq!((whole.identification(), whole.fragment() & DONT_FRAGMENT), (1, 0));
                assert_eq!(whole.ip_header()[8], 63);
            } else {
                assert_ne!(Ipv4Addr::from(sender), SOURCE);
                assert_eq!(whole.ip_header()[8], 16);
            }
        }
    }
}

/// Nothing was lost, and every frame is explained: a fragment that was joined is one.
fn counters_close(stats: &Value) {
    assert_eq!(stats["ledger"]["closes"], true, "{}", stats["ledger"]);
    let large = rule(stats, "large");
    for number in 0..OUTPUTS.len() {
        let output = output(large, number);
        assert_eq!(large["matchedDatagrams"].as_u64(), Some(sent(output)), "{output}");
    }
}

/// More datagrams at once than there is room for: each fragment too many is counted, and so is each
/// that waited in vain.
pub(crate) fn bounded(lab: &Lab) {
    let world = world(lab);
    let first_of = |id| large(id).fragments(1500).remove(0);
    for id in 1000..1100 {
        world.send(&[first_of(id)]);
    }
    wait_for("36 of 100 find no room", SOON, || match world.drops("fragment_budget") {
        count if count == 100 - HELD => Ok(()),
        other => Err(other),
    });
    // While there is no room, a new one is refused, whole as it would be.
    world.send(&large(2000).fragments(1500));
    wait_for("7 more find no room", SOON, || match world.drops("fragment_budget") {
        count if count == 100 - HELD + 7 => Ok(()),
        other => Err(other),
    });
    // Datagrams that are not in fragments do not notice.
    world.ready();
    // One of those that wait becomes whole, and leaves its place to another.
    world.send(&large(1000).fragments(1500)[1..]);
    world.receives("completed while there is no room", &[1000]);
    world.send(&large(2001).fragments(1500));
    world.receives("in the place of the other", &[2001]);

    // Five seconds later the rest is given up.
    wait_for("the others are given up", SOON, || match world.drops("fragment_timeout") {
        count if count == HELD - 1 => Ok(()),
        other => Err(other),
    });
    for id in 3000..3064 {
        world.send(&large(id).fragments(1500));
        world.receives("afterwards", &[id]);
    }
    assert_eq!(world.drops("fragment_budget"), 100 - HELD + 7);
    assert_eq!(world.drops("fragment_invalid"), 0);
    counters_close(&world.mcrd.json(&["stats"]));
    world.mcrd.stop();
}
