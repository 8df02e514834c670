//! Rows about what a rule takes in.

use super::row::{
    BRIDGE, Egress, GROUP, OTHER, OUT0, OUT1, PORT, Row, SOURCE, TO, TO_PORT, frame, to,
};
use crate::lab::Frame;
use std::net::Ipv4Addr;

/// A group of the prefix that many rows take.
fn group(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(239, 1, 1, last)
}

pub(super) fn rows(egress: Egress) -> Vec<Row> {
    let row = |name| Row::new(name, egress);
    [interfaces(&row), groups_and_ports(&row), sources(&row), kinds_of_frames(&row)]
        .into_iter()
        .flatten()
        .chain(broadcasts(&row))
        .chain(protocols(&row))
        .collect()
}

fn interfaces(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    let selected = |name, input: &str, output: &str| {
        row(name)
            .input(&format!(r#"interfaces: [{input}], group: "{GROUP}", port: {PORT}"#))
            .output(&format!(r#"interfaces: [{output}], group: "{TO}", port: {TO_PORT}"#))
            // Not selected: in1.
            .takes_on("src1", frame())
    };
    let both = row("several interfaces in and out")
        .input(r#"interfaces: [{ name: "in0" }, { name: "in1" }], group: "239.1.1.1", port: 5000"#)
        .output(
            r#"interfaces: [{ name: "out0" }, { name: "out1" }], group: "239.2.2.2", port: 6000"#,
        );
    let copies = [OUT0, OUT1].map(|out| both.copy(&frame(), out, TO, TO_PORT));
    let bridge =
        selected("kind", r#"{ kind: "veth", cidr: "10.1.0.0/24" }"#, r#"{ kind: "bridge" }"#);
    let to_bridge = bridge.copy(&frame(), BRIDGE, TO, TO_PORT);
    vec![
        selected("name", r#"{ name: "in0" }"#, r#"{ name: "out0" }"#).relays(frame()),
        selected("nameGlob", r#"{ nameGlob: "i?0" }"#, r#"{ nameGlob: "o*0" }"#).relays(frame()),
        selected("nameRegex", r#"{ nameRegex: "in[02]" }"#, r#"{ nameRegex: "out(0|9)" }"#)
            .relays(frame()),
        selected(
            "altName",
            r#"{ altName: "the-input-of-all-cameras" }"#,
            r#"{ altName: "the-output-to-the-studio" }"#,
        )
        .relays(frame()),
        selected("cidr", r#"{ cidr: "10.1.0.0/24" }"#, r#"{ cidr: "10.2.0.1/32" }"#)
            .relays(frame()),
        bridge.takes(frame()).leaves(to_bridge),
        both.takes(frame())
            .leaves(copies[0].clone())
            .leaves(copies[1].clone())
            .takes_on("src1", frame())
            .leaves(copies[0].clone())
            .leaves(copies[1].clone()),
    ]
}

fn groups_and_ports(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    let on = |port| to(GROUP, port);
    let mapped = |last| Ipv4Addr::new(239, 110, 7, last);
    vec![
        row("group: prefix")
            .input(r#"interface: "in0", group: "239.1.1.0/28", port: 5000"#)
            .sends("")
            .relays(to(group(0), PORT))
            .relays(to(group(15), PORT))
            .takes(to(group(16), PORT)),
        row("group: prefix to prefix")
            .input(r#"interface: "in0", group: "239.1.1.16/28", port: 5000"#)
            .output(r#"interface: "out0", group: "239.110.7.64/28", port: 6000"#)
            .relays_to(to(group(16), PORT), mapped(64), TO_PORT)
            .relays_to(to(group(23), PORT), mapped(71), TO_PORT)
            .relays_to(to(group(31), PORT), mapped(79), TO_PORT)
            .takes(to(group(32), PORT)),
        row("groups: several")
            .input(r#"interface: "in0", groups: ["239.1.1.1", "239.1.2.0/24"], port: 5000"#)
            .sends("")
            .relays(frame())
            .relays(to(Ipv4Addr::new(239, 1, 2, 200), PORT))
            .takes(to(group(2), PORT)),
        row("port: one").sends("").relays(frame()).takes(on(5001)).not_matched("no_rule", 1),
        row("ports: ranges")
            .input(
                r#"interface: "in0", group: "239.1.1.1",
                   ports: [{ start: 5000, end: 5009 }, { start: 7000, end: 7000 }]"#,
            )
            .sends("")
            .takes(on(4999))
            .relays(on(5000))
            .relays(on(5009))
            .takes(on(5010))
            .relays(on(7000))
            .takes(on(7001))
            .not_matched("no_rule", 3),
        row("ports: all, and unchanged")
            .input(r#"interface: "in0", group: "239.1.1.1""#)
            .output(r#"interface: "out0", group: "239.2.2.2""#)
            .relays_to(on(1), TO, 1)
            .relays_to(on(5000), TO, 5000)
            .relays_to(on(65_535), TO, 65_535),
    ]
}

fn sources(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    let from = |last| frame().source(Ipv4Addr::new(10, 1, 0, last));
    let input = |more: &str| format!(r#"interface: "in0", group: "{GROUP}", port: {PORT}, {more}"#);
    vec![
        row("source: one")
            .input(&input(r#"source: "10.1.0.10""#))
            .sends("")
            .relays(frame())
            .takes(from(77))
            .not_matched("source_filtered", 1),
        row("sources: include a prefix")
            .input(&input(r#"sources: { include: ["10.1.0.64/26", "192.0.2.1"] }"#))
            .sends("")
            .takes(from(63))
            .relays(from(64))
            .relays(from(127))
            .takes(from(128))
            .relays(frame().source(Ipv4Addr::new(192, 0, 2, 1)))
            .not_matched("source_filtered", 2),
        row("sources: exclude")
            .input(&input(r#"sources: { exclude: ["10.1.0.64/26"] }"#))
            .sends("")
            .relays(from(63))
            .takes(from(64))
            .takes(from(127))
            .relays(from(128))
            .not_matched("source_filtered", 2),
        row("sources: include less exclude")
            .input(&input(r#"sources: { include: ["10.1.0.0/24"], exclude: ["10.1.0.77"] }"#))
            .sends("")
            .relays(from(76))
            .takes(from(77))
            .takes(frame().source(Ipv4Addr::new(10, 9, 0, 1)))
            .not_matched("source_filtered", 2),
        // The relay's own address on that interface: its own packet came back.
        row("source: ours").sends("").takes(from(1)).not_matched("own_source", 1),
    ]
}

fn kinds_of_frames(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    let input = |more: &str| format!(r#"interface: "in0", group: "{GROUP}", port: {PORT}, {more}"#);
    // Priority 5 beside the VLAN, which must not matter.
    let tagged = |vlan: u16| frame().tagged(5 << 13 | vlan);
    let relays_tagged = |row: Row, vlan| {
        let copy = row.copy(&frame(), OUT0, TO, TO_PORT);
        row.takes(tagged(vlan)).leaves(copy)
    };
    let absent = row("vlan: absent").sends("").takes(tagged(310)).relays(frame());
    let one = row("vlan: 310").input(&input("vlan: 310")).sends("");
    let any = row("vlan: any").input(&input(r#"vlan: "any""#)).sends("").relays(frame());
    vec![
        // VLAN 0 is a priority alone (IEEE 802.1Q section 6.9).
        relays_tagged(absent, 0).not_matched("vlan_tag", 1),
        relays_tagged(one, 310)
            .takes(tagged(311))
            .takes(frame())
            .not_matched("vlan_tag", 1)
            .not_matched("no_rule", 1),
        relays_tagged(relays_tagged(any, 310), 4094),
        row("link-local: relayed")
            .input(r#"interface: "in0", group: "224.0.0.251", port: 5353, linkLocal: "relay""#)
            .output(r#"interface: "out0""#)
            .relays_to(
                to(Ipv4Addr::new(224, 0, 0, 251), 5353),
                Ipv4Addr::new(224, 0, 0, 251),
                5353,
            ),
        row("link-local: left out of a prefix")
            .input(r#"interface: "in0", group: "224.0.0.0/20", port: 5353, join: "never""#)
            .sends("")
            .takes(to(Ipv4Addr::new(224, 0, 0, 251), 5353))
            .relays(to(Ipv4Addr::new(224, 0, 1, 251), 5353))
            .not_matched("link_local", 1),
        row("IP options").sends("").relays(frame().options(&[148, 4, 0, 0])),
        row("no UDP checksum").sends("").relays(frame().no_checksum()),
        row("empty payload").sends("").relays(Frame::udp(SOURCE, GROUP, PORT, b"").ttl(64)),
    ]
}

fn broadcasts(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    let limited = Ipv4Addr::BROADCAST;
    let subnet = Ipv4Addr::new(10, 1, 0, 255);
    vec![
        row("limited broadcast to a group")
            .input(r#"interface: "in0", group: "255.255.255.255", port: 5000"#)
            .sends("")
            .relays(to(limited, PORT))
            .takes(to(limited, 5001))
            .not_matched("no_rule", 1),
        row("limited broadcast, unchanged")
            .input(r#"interface: "in0", group: "255.255.255.255", port: 5000"#)
            .output(r#"interface: "out0""#)
            .relays_to(to(limited, PORT), limited, PORT),
        row("subnet broadcast to a group")
            .input(r#"interface: "in0", group: "10.1.0.255", port: 5000"#)
            .sends("")
            .relays(to(subnet, PORT)),
    ]
}

fn protocols(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    // An echo request, its checksum right; and an experiment (RFC 3692).
    let icmp = [8, 0, 0xf7, 0xfe, 0, 0, 0, 1];
    let other = |protocol, payload: &[u8]| {
        Frame::packet(SOURCE, GROUP, protocol, payload).ttl(64).tos(super::row::TOS).id(0x4321)
    };
    let any = r#"interface: "in0", group: "239.1.1.1", protocol: "any""#;
    vec![
        row("protocol: any")
            .input(any)
            .output(r#"interface: "out0", group: "239.2.2.2""#)
            .relays_to(other(1, &icmp), TO, 0)
            .relays_to(other(253, b"an experiment"), TO, 0)
            .relays_to(to(GROUP, 4242), TO, 4242)
            // These belong to their link.
            .takes(other(2, &[0x16, 0, 0, 0, 239, 1, 1, 1]))
            .takes(other(103, &[0x20, 0, 0xdf, 0xff]))
            .not_matched("link_protocol", 2),
        row("protocol: any, from one source")
            .input(&format!(r#"{any}, source: "{OTHER}""#))
            .output(r#"interface: "out0", group: "239.2.2.2""#)
            .relays_to(other(253, b"an experiment").source(OTHER), TO, 0)
            .takes(other(253, b"an experiment"))
            .not_matched("source_filtered", 1),
        row("protocol: udp").sends("").takes(other(253, b"an experiment")).relays(frame()),
    ]
}
