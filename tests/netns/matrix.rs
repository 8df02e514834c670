//! Every payload once, unchanged and in order per flow, whatever the kernel's offloads make of the
//! frames in between.
//!
//! ```text
//!  +----------------+        +-------------------------+        +------------------+
//!  | source         |        | relay              out0 |--------| rcv0 10.2.0.9/24 |
//!  | src0           |--------| in0                out1 |--------| rcv1 10.3.0.9/24 |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24        out2 |--------| rcv2 10.4.0.9/24 |
//!  +----------------+        +-------------------------+  veth  +------------------+
//!  sender with and without UDP_SEGMENT; GRO forwarding on in0 on or off; out0 to out2 take
//!  super-frames (USO) or not; copies leave from a UDP socket (egress A) or as frames (B)
//! ```
//!
//! MTU, checksum offload of the sender and the number of outputs change along.

use crate::lab::{
    Lab, Namespace, Receive, Relay, SOON, Send, output, port, rule, sent, verify, wait_for,
};
use serde_json::json;
use std::fmt;

/// One combination.
#[derive(Clone, Copy)]
struct Cell {
    mtu: u32,
    /// The sender hands the kernel whole trains (UDP_SEGMENT).
    gso: bool,
    /// The relay's input merges datagrams of a flow (rx-udp-gro-forwarding).
    gro: bool,
    /// The outputs' devices take trains of datagrams whole (tx-udp-segmentation).
    uso: bool,
    /// Copies keep their source and leave as frames.
    frames: bool,
    /// The sender's device fills in checksums, so that they arrive unfilled on a veth.
    checksum: bool,
    outputs: usize,
    /// Frames come in a ring of shared memory, those that are longer than its slots beside it.
    ring: bool,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |on| if on { "on" } else { "off" };
        write!(
            f,
            "egress {}, sender gso {}, gro forwarding {}, uso {}, mtu {}, checksum offload {}, {} outputs, ring {}",
            if self.frames { "B" } else { "A" },
            word(self.gso),
            word(self.gro),
            word(self.uso),
            self.mtu,
            word(self.checksum),
            self.outputs,
            word(self.ring)
        )
    }
}

/// Nanoseconds.
const GRO_FLUSH: u32 = 200_000;

const OUTPUTS: [(&str, &str, &str, u16); 3] = [
    ("out0", "rcv0", "239.2.2.2", 6000),
    ("out1", "rcv1", "239.3.3.3", 6001),
    ("out2", "rcv2", "239.4.4.4", 6002),
];

pub(crate) fn all_cells(lab: &Lab) {
    let namespaces = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    let (mut super_frames, mut partial) = (0, 0);
    for number in 0..32_usize {
        let bit = |position: usize| number >> position & 1 == 1;
        let cell = Cell {
            gso: bit(3),
            gro: bit(2),
            uso: bit(1),
            frames: bit(0),
            mtu: if bit(0) ^ bit(2) { 9000 } else { 1500 },
            // A train crosses the veth whole where its device takes whole trains and fills in
            // checksums; without trains both are tried.
            checksum: bit(3) || bit(0) ^ bit(1),
            // Every value meets every setting over the cells: 3 and 2 have no common factor.
            outputs: 1 + number % 3,
            ring: bit(4),
        };
        let (cell_super, cell_partial) =
            run(lab, &namespaces, cell, u32::try_from(number).expect("32"));
        println!("{cell}: super-frames {cell_super}, partial checksums {cell_partial}");
        super_frames += cell_super;
        partial += cell_partial;
    }
    assert!(super_frames > 0 && partial > 0);
}

fn run(
    lab: &Lab,
    [source, relay, receiver]: &[Namespace; 3],
    cell: Cell,
    number: u32,
) -> (u64, u64) {
    build(lab, [source, relay, receiver], cell);
    let source_of_copies = if cell.frames { "keep" } else { "interface" };
    let outputs: Vec<_> = OUTPUTS[..cell.outputs]
        .iter()
        .map(|(interface, _, group, port)| {
            json!({
                "group": group, "port": port, "interface": interface,
                "source": source_of_copies, "ttl": 16,
            })
        })
        .collect();
    let input = json!({ "interface": "in0", "group": "239.1.1.1", "port": 5000 });
    let rules = json!({
        "dataplane": { "rings": u32::from(cell.ring) },
        "rules": [{ "name": "cell", "input": input, "outputs": outputs }],
    });
    let mcrd = Relay::with_config(relay, lab.directory(), &rules.to_string());
    mcrd.wait_state("cell", "active");

    // Sender, relay and up to three receivers share the machine: at most 60,000 copies a second.
    let (half, rate) = match (verify(), cell.outputs) {
        (false, _) => (2_000, 20_000),
        (true, 1) => (62_500, 40_000),
        (true, 2) => (62_500, 30_000),
        (true, _) => (62_500, 20_000),
    };
    let largest = cell.mtu - 28;
    let train = if cell.gso { "--gso --train 1-64" } else { "--train 1-64" };
    let seed = 1000 + number;
    for (stream, sizes) in
        [format!("--size {}", largest.min(1316)), format!("--size-range 64-{largest}")]
            .into_iter()
            .enumerate()
    {
        let receivers: Vec<_> = OUTPUTS[..cell.outputs]
            .iter()
            .map(|(_, interface, group, port)| {
                Receive::count(interface, group, *port, half).start(receiver)
            })
            .collect();
        Send {
            interface: "src0",
            to: ("239.1.1.1", 5000),
            rate,
            count: half,
            stream: u32::try_from(stream).expect("two streams"),
            args: &format!("{sizes} {train} --seed {seed}"),
        }
        .run(source);
        for (index, receiver) in receivers.into_iter().enumerate() {
            receiver.report().assert_perfect(&format!("{cell}; {sizes}; output {index}"), half);
        }
    }

    let stats = wait_for("everything is counted", SOON, || {
        let stats = mcrd.json(&["stats"]);
        let matched = port(&stats, "in0")["matched"].as_u64();
        if matched == Some(2 * half) { Ok(stats) } else { Err(stats.to_string()) }
    });
    // The receivers stop at the last expected datagram; this says that no further copy followed.
    for number in 0..cell.outputs {
        let output = output(rule(&stats, "cell"), number);
        assert_eq!(sent(output), 2 * half, "{cell}: {output}");
    }
    let input = port(&stats, "in0");
    assert_eq!(input["kernelDropped"], 0, "{cell}: {input}");
    let (super_frames, partial) = (
        input["superFrames"].as_u64().expect("a count"),
        input["partialChecksums"].as_u64().expect("a count"),
    );
    if cell.gso || cell.gro {
        assert!(super_frames > 0, "{cell}: no super-frame came: {input}");
    }
    if !cell.gso && !cell.gro {
        assert_eq!(super_frames, 0, "{cell}: where did super-frames come from? {input}");
    }
    if cell.checksum {
        assert!(partial > 0, "{cell}: no partial checksum came: {input}");
    }
    mcrd.stop();
    relay.run("ip link del in0");
    for (interface, ..) in OUTPUTS {
        relay.run(&format!("ip link del {interface}"));
    }
    (super_frames, partial)
}

fn build(lab: &Lab, [source, relay, receiver]: [&Namespace; 3], cell: Cell) {
    lab.veth((source, "src0"), (relay, "in0"), cell.mtu);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    for (number, (near, far, ..)) in (2..).zip(OUTPUTS) {
        lab.veth((relay, near), (receiver, far), cell.mtu);
        relay.address(near, &format!("10.{number}.0.1/24"));
        receiver.address(far, &format!("10.{number}.0.9/24"));
    }
    source.offload("src0", "tx-checksum-ip-generic", cell.checksum);
    relay.offload("in0", "gro", cell.gro);
    relay.offload("in0", "rx-udp-gro-forwarding", cell.gro);
    // A veth hands over each frame by itself; what comes within this time is merged.
    let wait = if cell.gro { GRO_FLUSH } else { 0 };
    let set = format!("echo {wait} >/sys/class/net/in0/gro_flush_timeout");
    let done = relay.command("sh").args(["-c", &set]).status().expect("a shell");
    assert!(done.success(), "{set}");
    for (output, ..) in OUTPUTS {
        relay.offload(output, "tx-udp-segmentation", cell.uso);
    }
}
