//! Every field of a rule, with both ways to send: what leaves is what the rule says, byte for byte.
//!
//! ```text
//!  +----------------+        +----------------------------------+        +---------------------+
//!  | source    src0 |--------| in0  10.1.0.1/24            out0 |--------| rcv0  10.2.0.9/24   |
//!  | (packet   src1 |--------| in1  10.5.0.1/24  10.2.0.1/24    |  veth  |                     |
//!  |  sockets)      |  veth  |                             out1 |--------| rcv1  10.3.0.9/24   |
//!  +----------------+        |                   10.3.0.1/24    |  veth  |                     |
//!    MTU 9000                |      br0 10.4.0.1/24 <-- port0   |--------| rcvb  10.4.0.9/24   |
//!                            | relay                            |  veth  | (packet sockets)    |
//!                            +----------------------------------+        +---------------------+
//!  MTU 1500 on the right
//! ```
//! One relay, one row after the other: each is a file with the row's rule and another one, the fence.
//! When a datagram of the fence comes out, the table with the row's rule is in force; when one that was
//! sent after the row's frames comes out, the relay has dealt with those.

mod inputs;
mod living;
mod outputs;
mod row;

pub(crate) use living::{appearing, local, never_joined};

use crate::lab::{
    Frame, Injector, Lab, Line, Namespace, Relay, SOON, Tap, drops, port, rule, sent,
};
use row::{Egress, Expected, OUTS, Out, Row};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Of the relay's input.
const INPUT_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
const FENCE_PORT: u16 = 9;

pub(crate) fn every_row(lab: &Lab) {
    let world = World::new(lab);
    let rows: Vec<Row> = [Egress::A, Egress::B]
        .into_iter()
        .flat_map(|egress| inputs::rows(egress).into_iter().chain(outputs::rows(egress)))
        .collect();
    let mcrd = Relay::with_config(&world.line.relay, lab.directory(), "{ rules: [] }");
    let mut faults = Vec::new();
    let mut copies = 0;
    for (number, row) in rows.iter().enumerate() {
        // All of them, so that one run shows all that is wrong.
        match world.run(&mcrd, number, row) {
            Ok(()) => copies += row.leaves.len(),
            Err(fault) => faults.push(format!("{}, egress {:?}: {fault}", row.name, row.egress)),
        }
    }
    println!("{} rows, {copies} copies as expected", rows.len());
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), rows.len(), faults.join("\n"));
    mcrd.stop();
}

/// The topology with its packet sockets.
struct World {
    line: Line,
    injectors: BTreeMap<&'static str, Injector>,
    taps: BTreeMap<&'static str, Tap>,
}

impl World {
    fn new(lab: &Lab) -> Self {
        let line = Line::with_outputs(lab, 9000, &[1500, 1500]);
        let (relay, receiver) = (&line.relay, &line.receiver);
        lab.veth((&line.source, "src1"), (relay, "in1"), 9000);
        relay.address("in1", "10.5.0.1/24");
        relay.run("ip link add br0 type bridge mcast_snooping 0");
        lab.veth((relay, "port0"), (receiver, "rcvb"), 1500);
        relay.run("ip link set port0 master br0");
        relay.plain_frames("port0");
        receiver.address("rcvb", "10.4.0.9/24");
        for out in OUTS {
            set_mac(relay, out.name, out.mac);
        }
        relay.run("ip link set br0 up");
        relay.address("br0", "10.4.0.1/24");
        set_mac(relay, "in0", INPUT_MAC);
        set_mac(receiver, "rcv0", outputs::RECEIVER_MAC);
        relay.run("ip link property add dev in0 altname the-input-of-all-cameras");
        relay.run("ip link property add dev out0 altname the-output-to-the-studio");
        let injectors = ["src0", "src1"].map(|name| (name, Injector::new(&line.source, name)));
        let taps = OUTS.map(|out| (out.seen_at, Tap::new(receiver, out.seen_at)));
        Self { injectors: injectors.into(), taps: taps.into(), line }
    }

    fn run(&self, mcrd: &Relay, number: usize, row: &Row) -> Result<(), String> {
        let name = format!("row{number}");
        mcrd.reload(&file(&name, number, row));
        self.fence(number, b"before")?;
        let status = state_of(mcrd, &name)?;
        if status["state"] != "active" {
            return Err(format!("it is not active: {status}"));
        }
        let before = mcrd.json(&["stats"]);
        for (interface, frame) in &row.arrives {
            self.injectors[interface].send(frame);
        }
        let seen = self.collect(number, row)?;
        compare(row, seen)?;
        counted(mcrd, &before, &name, row)
    }

    /// Sends datagrams of the fence until one comes out everywhere.
    fn fence(&self, number: usize, mark: &[u8]) -> Result<(), String> {
        let frame = Frame::udp(row::SOURCE, fence_group(number), FENCE_PORT, mark).ttl(64);
        for (interface, tap) in &self.taps {
            let start = std::time::Instant::now();
            loop {
                self.injectors["src0"].send(&frame);
                let seen = std::iter::from_fn(|| tap.next(Duration::from_millis(20)));
                if seen.into_iter().any(|frame| is_fence(&frame, number, mark)) {
                    break;
                }
                if start.elapsed() > SOON {
                    return Err(format!("the fence does not come out at {interface}"));
                }
            }
        }
        Ok(())
    }

    /// What comes out at each interface, until all that is expected is there and then the fence.
    fn collect(
        &self,
        number: usize,
        row: &Row,
    ) -> Result<BTreeMap<&'static str, Vec<Frame>>, String> {
        let mut seen: BTreeMap<&'static str, Vec<Frame>> = BTreeMap::new();
        for (interface, tap) in &self.taps {
            let here = row.leaves.iter().filter(|copy| copy.seen_at == *interface);
            let wanted: usize = here.map(|copy| copy.parts).sum();
            let frames = seen.entry(interface).or_default();
            let start = std::time::Instant::now();
            while frames.len() < wanted && start.elapsed() < PATIENCE {
                frames.extend(tap.next(Duration::from_millis(20)).filter(belongs_to_a_row));
            }
        }
        let fence = Frame::udp(row::SOURCE, fence_group(number), FENCE_PORT, b"after").ttl(64);
        self.injectors["src0"].send(&fence);
        for (interface, tap) in &self.taps {
            loop {
                match tap.next(SOON) {
                    None => return Err(format!("the last fence does not come out at {interface}")),
                    Some(frame) if is_fence(&frame, number, b"after") => break,
                    Some(frame) if belongs_to_a_row(&frame) => {
                        seen.entry(interface).or_default().push(frame);
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(seen)
    }
}

/// How long a copy may take; it costs time only where one is missing.
const PATIENCE: Duration = Duration::from_secs(1);

fn set_mac(namespace: &Namespace, interface: &str, mac: [u8; 6]) {
    let text = mac.map(|byte| format!("{byte:02x}")).join(":");
    namespace.run(&format!("ip link set {interface} address {text}"));
}

/// A group of its own for each row, so that a late datagram of another row is none of this one.
fn fence_group(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(239, 255, 1, u8::try_from(number).expect("at most 256 rows"))
}

fn is_fence(frame: &Frame, number: usize, mark: &[u8]) -> bool {
    frame.to() == fence_group(number) && frame.ip_payload().get(8..) == Some(mark)
}

/// Not of a fence, and no report of the relay's own kernel (RFC 9776 section 4.2.14).
fn belongs_to_a_row(frame: &Frame) -> bool {
    let to = frame.to();
    to.octets()[..2] != [239, 255] && to != Ipv4Addr::new(224, 0, 0, 22)
}

fn file(name: &str, number: usize, row: &Row) -> String {
    let outs = OUTS.map(|out: Out| format!(r#"{{ name: "{}" }}"#, out.name)).join(", ");
    let outputs: Vec<_> = row.outputs.iter().map(|output| format!("{{ {output} }}")).collect();
    format!(
        r#"{{ rules: [
  {{ name: "{name}", input: {{ {} }}, outputs: [{}] }},
  {{ name: "fence", input: {{ interface: "in0", group: "{}", port: {FENCE_PORT} }},
     outputs: [{{ interfaces: [{outs}] }}] }},
] }}
"#,
        row.input,
        outputs.join(", "),
        fence_group(number)
    )
}

fn state_of(mcrd: &Relay, name: &str) -> Result<Value, String> {
    let list = mcrd.json(&["list"]);
    let rules = if list.is_array() { &list } else { &list["rules"] };
    let found = rules.as_array().and_then(|rules| rules.iter().find(|rule| rule["name"] == name));
    found.cloned().ok_or_else(|| format!("no rule {name} in {list}"))
}

fn compare(row: &Row, seen: BTreeMap<&'static str, Vec<Frame>>) -> Result<(), String> {
    let mut seen: Vec<(&str, Vec<Frame>)> = seen
        .into_iter()
        .flat_map(|(interface, frames)| {
            datagrams(frames).into_iter().map(move |parts| (interface, parts))
        })
        .collect();
    for (_, parts) in &seen {
        for part in parts {
            independent::check(part)?;
        }
    }
    for expected in &row.leaves {
        let found = seen.iter().position(|(interface, parts)| {
            *interface == expected.seen_at
                && parts.len() == expected.parts
                && expected.is(&Frame::whole(parts.clone()))
        });
        match found {
            Some(at) => drop(seen.remove(at)),
            None => {
                return Err(format!(
                    "missing at {}:\n{}",
                    expected.seen_at,
                    missing(expected, &seen)
                ));
            }
        }
    }
    match seen.first() {
        None => Ok(()),
        Some((interface, frames)) => {
            Err(format!("{} too many, the first at {interface}: {frames:x?}", seen.len()))
        }
    }
}

/// Fragments of one datagram together, everything else alone.
fn datagrams(frames: Vec<Frame>) -> Vec<Vec<Frame>> {
    let mut datagrams: Vec<Vec<Frame>> = Vec::new();
    for frame in frames {
        let others = datagrams.iter_mut().find(|parts| {
            let first = &parts[0];
            frame.is_fragment()
                && first.is_fragment()
                && first.identification() == frame.identification()
        });
        match others {
            Some(parts) => parts.push(frame),
            None => datagrams.push(vec![frame]),
        }
    }
    datagrams
}

/// What was expected beside what came, as bytes.
fn missing(expected: &Expected, seen: &[(&str, Vec<Frame>)]) -> String {
    let hex = |frame: &Frame| {
        let bytes: Vec<_> =
            frame.bytes().iter().take(80).map(|byte| format!("{byte:02x}")).collect();
        bytes.join(" ")
    };
    let mut text = format!("  expected {} part(s) {}\n", expected.parts, hex(&expected.frame));
    for (interface, parts) in seen {
        let whole = parts[0].clone();
        text += &format!("  seen at {interface} {} part(s) {}\n", parts.len(), hex(&whole));
    }
    text
}

/// The counters tell the same story.
fn counted(mcrd: &Relay, before: &Value, name: &str, row: &Row) -> Result<(), String> {
    let stats = mcrd.json(&["stats"]);
    let outputs = rule(&stats, name)["outputs"].as_array().cloned().unwrap_or_default();
    let copies: u64 = outputs.iter().map(sent).sum();
    let expected = u64::try_from(row.leaves.len()).expect("few");
    if copies != expected {
        return Err(format!("{copies} copies are counted as sent, not {expected}: {outputs:?}"));
    }
    for (reason, count) in &row.not_sent {
        let counted: u64 = outputs.iter().map(|output| drops(output, reason)).sum();
        if counted != *count {
            return Err(format!("{counted} copies are {reason}, not {count}: {outputs:?}"));
        }
    }
    let input = port(&stats, "in0");
    for (reason, count) in &row.not_matched {
        let counted = drops(input, reason) - drops_before(before, reason);
        if counted != *count {
            return Err(format!("{counted} are {reason}, not {count}: {input}"));
        }
    }
    Ok(())
}

/// Drops of the port, which stays open from row to row.
fn drops_before(stats: &Value, reason: &str) -> u64 {
    drops(port(stats, "in0"), reason)
}

/// A decoder that shares nothing with ours, nor with the lab's frames.
mod independent {
    use crate::lab::Frame;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    /// The frame decodes, and its checksums are right.
    pub(super) fn check(frame: &Frame) -> Result<(), String> {
        let packet = SlicedPacket::from_ethernet(frame.bytes())
            .map_err(|error| format!("etherparse: {error}: {frame:x?}"))?;
        if !packet.link_exts.is_empty() {
            return Err(format!("it is tagged: {frame:x?}"));
        }
        let Some(NetSlice::Ipv4(ip)) = &packet.net else {
            return Err(format!("not IPv4: {frame:x?}"));
        };
        let header = ip.header().to_header();
        if header.calc_header_checksum() != header.header_checksum {
            return Err(format!("the header's checksum is wrong: {header:?}"));
        }
        let Some(TransportSlice::Udp(udp)) = &packet.transport else { return Ok(()) };
        let expected = udp
            .to_header()
            .calc_checksum_ipv4(&header, udp.payload())
            .map_err(|error| format!("etherparse: {error}"))?;
        match udp.checksum() {
            // None was computed; whether that is right is for the bytes to say.
            0 => Ok(()),
            checksum if checksum == expected => Ok(()),
            checksum => Err(format!("UDP checksum {checksum:#x}, not {expected:#x}: {header:?}")),
        }
    }
}
