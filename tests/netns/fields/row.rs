//! One row of the table: a rule, what arrives, and what must leave, byte for byte.

use crate::lab::{DONT_FRAGMENT, Frame};
use std::net::Ipv4Addr;

pub(super) const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
pub(super) const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 77);
pub(super) const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
pub(super) const PORT: u16 = 5000;
pub(super) const TO: Ipv4Addr = Ipv4Addr::new(239, 2, 2, 2);
pub(super) const TO_PORT: u16 = 6000;
pub(super) const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 9);

/// An interface that copies leave by, and where they are seen.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub(super) name: &'static str,
    pub(super) seen_at: &'static str,
    pub(super) address: Ipv4Addr,
    pub(super) mac: [u8; 6],
}

pub(super) const OUT0: Out = out("out0", "rcv0", 2);
pub(super) const OUT1: Out = out("out1", "rcv1", 3);
pub(super) const BRIDGE: Out = out("br0", "rcvb", 4);
pub(super) const OUTS: [Out; 3] = [OUT0, OUT1, BRIDGE];

const fn out(name: &'static str, seen_at: &'static str, number: u8) -> Out {
    let address = Ipv4Addr::new(10, number, 0, 1);
    Out { name, seen_at, address, mac: [2, 0, 0, 0, 1, number] }
}

/// How copies leave: as datagrams of the kernel's (A), or as frames of ours that keep the source (B).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Egress {
    A,
    B,
}

/// What of an expected frame the rule leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// Nothing: every byte is known.
    Nothing,
    /// The kernel chooses identification and DF.
    Number,
    /// And the source port.
    NumberAndPort,
}

/// One copy that must leave.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) seen_at: &'static str,
    pub(super) frame: Frame,
    pub(super) open: Open,
    /// In how many fragments; 1 = whole.
    pub(super) parts: usize,
}

impl Expected {
    /// True where a frame that was seen is this one.
    pub(super) fn is(&self, seen: &Frame) -> bool {
        self.like(seen) == *seen
    }

    /// What is expected, with what is open taken from the frame that was seen.
    pub(super) fn like(&self, seen: &Frame) -> Frame {
        let expected = self.frame.clone();
        if self.open == Open::Nothing {
            // The number of a datagram that is never cut says nothing (RFC 6864 section 4.1), and of
            // those that leave together the kernel counts it up.
            let atomic = expected.fragment() & DONT_FRAGMENT != 0;
            return if atomic { expected.id(seen.identification()) } else { expected };
        }
        let expected =
            expected.id(seen.identification()).fragment_field(seen.fragment() & DONT_FRAGMENT);
        match (self.open, seen.udp_ports()) {
            // 0 is no port that anybody could answer.
            (Open::NumberAndPort, Some((port, _))) if port != 0 => expected.source_port(port),
            _ => expected,
        }
    }

    /// With another TTL than usual.
    pub(super) fn ttl(self, ttl: u8) -> Self {
        Self { frame: self.frame.ttl(ttl), ..self }
    }

    /// With this DSCP and ECN.
    pub(super) fn tos(self, tos: u8) -> Self {
        Self { frame: self.frame.tos(tos), ..self }
    }

    /// In so many fragments.
    pub(super) fn in_parts(self, parts: usize) -> Self {
        Self { parts, ..self }
    }
}

/// A rule, what arrives, what leaves.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) egress: Egress,
    pub(super) input: String,
    pub(super) outputs: Vec<String>,
    /// By interface of the source.
    pub(super) arrives: Vec<(&'static str, Frame)>,
    pub(super) leaves: Vec<Expected>,
    /// Drops by name, of the rule's outputs together.
    pub(super) not_sent: Vec<(&'static str, u64)>,
    /// Drops by name, of the port on `in0`.
    pub(super) not_matched: Vec<(&'static str, u64)>,
}

/// A frame that a rule with the usual input takes; its headers are unlike any default.
pub(super) fn frame() -> Frame {
    to(GROUP, PORT)
}

/// The same to another group and port.
pub(super) fn to(group: Ipv4Addr, port: u16) -> Frame {
    let payload = b"every byte of it, an odd number";
    let frame = Frame::udp(SOURCE, group, port, payload).ttl(64).tos(TOS).id(0x1234);
    frame.fragment_field(DONT_FRAGMENT)
}

/// DSCP 46 (EF) and ECN 1, ECT(1).
pub(super) const TOS: u8 = 46 << 2 | 1;

impl Row {
    /// From `in0`, group and port of [`frame`].
    pub(super) fn new(name: &'static str, egress: Egress) -> Self {
        Self {
            name,
            egress,
            input: format!(r#"interface: "in0", group: "{GROUP}", port: {PORT}"#),
            outputs: Vec::new(),
            arrives: Vec::new(),
            leaves: Vec::new(),
            not_sent: Vec::new(),
            not_matched: Vec::new(),
        }
    }

    /// Another input.
    pub(super) fn input(self, input: &str) -> Self {
        Self { input: input.to_owned(), ..self }
    }

    /// One more output; one that names no source gets that of the egress.
    pub(super) fn output(mut self, output: &str) -> Self {
        let keeps = self.egress == Egress::B && !output.contains("source:");
        let source = if keeps { r#", source: "keep""# } else { "" };
        self.outputs.push(format!("{output}{source}"));
        self
    }

    /// The usual output with more about it: `TO`, `TO_PORT` on `out0`.
    pub(super) fn sends(self, more: &str) -> Self {
        let comma = if more.is_empty() { "" } else { ", " };
        self.output(&format!(r#"interface: "out0", group: "{TO}", port: {TO_PORT}{comma}{more}"#))
    }

    /// A frame that arrives on `in0`.
    pub(super) fn takes(self, frame: Frame) -> Self {
        self.takes_on("src0", frame)
    }

    /// A frame that arrives from that interface of the source.
    pub(super) fn takes_on(mut self, interface: &'static str, frame: Frame) -> Self {
        self.arrives.push((interface, frame));
        self
    }

    /// What the copy of `frame` is like that leaves by `out` to `group` and `port` when the rule says
    /// nothing else.
    pub(super) fn copy(&self, frame: &Frame, out: Out, group: Ipv4Addr, port: u16) -> Expected {
        let (copy, open) = match self.egress {
            Egress::B => (frame.clone().ttl(frame.ip_header()[8] - 1), Open::Nothing),
            Egress::A => {
                let fresh = match frame.udp_ports() {
                    // ECN is a matter between a sender and its receivers: a new datagram has none.
                    Some(_) => Frame::udp(out.address, group, port, &frame.ip_payload()[8..])
                        .tos(frame.ip_header()[1] & !3),
                    // Of other protocols the kernel makes no new packets: only the source is ours.
                    None => frame.clone().source(out.address),
                };
                (fresh.ttl(16), Open::NumberAndPort)
            }
        };
        let copy = match copy.udp_ports() {
            Some(_) => copy.destination(group).port(port),
            None => copy.destination(group),
        };
        Expected { seen_at: out.seen_at, frame: copy.source_mac(out.mac), open, parts: 1 }
    }

    /// This copy leaves.
    pub(super) fn leaves(mut self, expected: Expected) -> Self {
        self.leaves.push(expected);
        self
    }

    /// `frame` arrives on `in0`, and its usual copy leaves by the usual output.
    pub(super) fn relays(self, frame: Frame) -> Self {
        self.relays_to(frame, TO, TO_PORT)
    }

    /// The same, and the copy goes to another group or port.
    pub(super) fn relays_to(self, frame: Frame, group: Ipv4Addr, port: u16) -> Self {
        let copy = self.copy(&frame, OUT0, group, port);
        self.takes(frame).leaves(copy)
    }

    /// `frame` arrives on `in0`, and its copy leaves by the usual output as `change` makes it.
    pub(super) fn relays_as(self, frame: Frame, change: impl FnOnce(Expected) -> Expected) -> Self {
        let copy = change(self.copy(&frame, OUT0, TO, TO_PORT));
        self.takes(frame).leaves(copy)
    }

    /// The outputs count so many drops under that name.
    pub(super) fn not_sent(mut self, reason: &'static str, count: u64) -> Self {
        self.not_sent.push((reason, count));
        self
    }

    /// The port on `in0` counts so many drops under that name.
    pub(super) fn not_matched(mut self, reason: &'static str, count: u64) -> Self {
        self.not_matched.push((reason, count));
        self
    }
}
