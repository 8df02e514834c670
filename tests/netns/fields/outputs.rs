//! Rows about what a rule sends.

use super::row::{
    Egress, Expected, GROUP, OUT0, OUT1, Open, PORT, RECEIVER, Row, SOURCE, TO, TO_PORT, TOS,
    frame, to,
};
use crate::lab::Frame;
use std::net::Ipv4Addr;

/// Where `rcv0` is.
pub(super) const RECEIVER_MAC: [u8; 6] = [2, 0, 0, 0, 2, 2];
/// No address of the relay's.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

pub(super) fn rows(egress: Egress) -> Vec<Row> {
    let row = |name| Row::new(name, egress);
    let both = [destinations(&row), ttl_of_both(&row), marks_and_sizes(&row)];
    let own = match egress {
        Egress::A => [ttl_of_new_datagrams(), sources(), unicast()],
        Egress::B => [ttl_of_kept_sources(), Vec::new(), Vec::new()],
    };
    both.into_iter().chain(own).flatten().collect()
}

fn destinations(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    let several = row("several outputs")
        .sends("")
        .output(r#"interface: "out0", group: "239.3.3.3", port: 6001"#)
        .output(r#"interface: "out1", group: "239.2.2.2", port: 6000"#);
    let second = several.copy(&frame(), OUT0, Ipv4Addr::new(239, 3, 3, 3), 6001);
    let third = several.copy(&frame(), OUT1, TO, TO_PORT);
    vec![
        row("all unchanged").output(r#"interface: "out0""#).relays_to(frame(), GROUP, PORT),
        row("group").output(r#"interface: "out0", group: "239.2.2.2""#).relays_to(
            frame(),
            TO,
            PORT,
        ),
        row("port").output(r#"interface: "out0", port: 6000"#).relays_to(frame(), GROUP, TO_PORT),
        row("to the limited broadcast address")
            .output(r#"interface: "out0", address: "255.255.255.255", port: 6000"#)
            .relays_to(frame(), Ipv4Addr::BROADCAST, TO_PORT),
        several.relays(frame()).leaves(second).leaves(third),
    ]
}

/// What `ttl` says explicitly is the same for both.
fn ttl_of_both(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    let says = |row: Row, arriving, leaving| {
        row.relays_as(frame().ttl(arriving), move |copy: Expected| copy.ttl(leaving))
    };
    let set = says(row("ttl: 16").sends("ttl: 16"), 64, 16);
    let keep = says(row("ttl: keep").sends(r#"ttl: "keep""#), 255, 255);
    let decrement = says(row("ttl: decrement").sends(r#"ttl: "decrement""#), 255, 254);
    vec![
        says(says(set, 1, 16), 9, 16),
        says(row("ttl: 255").sends("ttl: 255"), 1, 255),
        says(row("ttl: 1").sends("ttl: 1"), 64, 1),
        says(says(keep, 9, 9), 1, 1),
        says(decrement, 2, 1).takes(frame().ttl(1)).not_sent("ttl_expired", 1),
    ]
}

/// Without `ttl`, from an address of ours.
fn ttl_of_new_datagrams() -> Vec<Row> {
    let mut row = Row::new("ttl: absent", Egress::A).sends("");
    for (arriving, leaving) in [(1, 16), (8, 16), (10, 9), (11, 10), (16, 15), (17, 16), (255, 16)]
    {
        row = row.relays_as(frame().ttl(arriving), |copy| copy.ttl(leaving));
    }
    vec![row.takes(frame().ttl(9)).not_sent("relay_loop", 1)]
}

/// Without `ttl`, with the original source.
fn ttl_of_kept_sources() -> Vec<Row> {
    let mut row = Row::new("ttl: absent", Egress::B).sends("");
    for (arriving, leaving) in [(2, 1), (9, 8), (16, 15), (255, 254)] {
        row = row.relays_as(frame().ttl(arriving), |copy| copy.ttl(leaving));
    }
    vec![row.takes(frame().ttl(1)).not_sent("ttl_expired", 1)]
}

fn marks_and_sizes(row: &impl Fn(&'static str) -> Row) -> Vec<Row> {
    // In 1500 bytes of layer 3: 1472 of payload fit, 3000 need three fragments.
    let large = |fragments_allowed: bool| {
        let payload: Vec<u8> = (0..3000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let frame = Frame::udp(SOURCE, GROUP, PORT, &payload).ttl(64).id(0x7777);
        if fragments_allowed { frame } else { frame.fragment_field(crate::lab::DONT_FRAGMENT) }
    };
    let just_fits = Frame::udp(SOURCE, GROUP, PORT, &[0x5a; 1472]).ttl(64).id(0x7778);
    let one_too_many = Frame::udp(SOURCE, GROUP, PORT, &[0x5a; 1473]).ttl(64).id(0x7779);
    let forbidden = row("mtuPolicy: fragment, but the sender forbids it").sends("");
    let forbidden = match forbidden.egress {
        // A new datagram of ours may be fragmented.
        Egress::A => forbidden.relays_as(large(false), |copy| copy.in_parts(3)),
        Egress::B => forbidden.takes(large(false)).not_sent("dont_fragment", 1),
    };
    let ecn = |row: &Row| if row.egress == Egress::B { TOS & 3 } else { 0 };
    let set = row("dscp: 34").sends("dscp: 34");
    let (ecn_set, zero) = (ecn(&set), row("dscp: 0").sends("dscp: 0"));
    vec![
        row("dscp: keep").sends(r#"dscp: "keep""#).relays(frame()),
        set.relays_as(frame(), |copy| copy.tos(34 << 2 | ecn_set)),
        zero.relays_as(frame(), |copy| copy.tos(ecn_set)),
        row("mtuPolicy: drop")
            .sends(r#"mtuPolicy: "drop""#)
            .takes(large(true))
            .takes(one_too_many.clone())
            .relays(just_fits.clone())
            .not_sent("mtu_exceeded", 2),
        row("mtuPolicy: fragment")
            .sends(r#"mtuPolicy: "fragment""#)
            .relays_as(large(true), |copy| copy.in_parts(3))
            .relays_as(one_too_many, |copy| copy.in_parts(2))
            // Router alert is in every fragment, record route in the first only (RFC 791 section 3.1).
            .relays_as(large(true).id(0x777a).options(&[148, 4, 0, 0]), |copy| copy.in_parts(3))
            .relays_as(large(true).id(0x777b).options(&[7, 7, 4, 0, 0, 0, 0, 1]), |copy| {
                copy.in_parts(3)
            })
            .relays(just_fits),
        forbidden,
    ]
}

/// `source` besides `"keep"`.
fn sources() -> Vec<Row> {
    let row = |name| Row::new(name, Egress::A);
    let ours = Ipv4Addr::new(10, 1, 0, 1);
    let from = |address: Ipv4Addr, port: Option<u16>, open: Open| {
        move |copy: Expected| {
            let frame = copy.frame.source(address);
            let frame = if let Some(port) = port { frame.source_port(port) } else { frame };
            Expected { frame, open, ..copy }
        }
    };
    // No ECN, so that nothing depends on whether the header is a new one.
    let plain = || frame().tos(46 << 2);
    let built = |copy: Expected| Expected {
        frame: copy.frame.id(0x1234).fragment_field(crate::lab::DONT_FRAGMENT).source_port(40_000),
        ..copy
    };
    vec![
        row("source: interface").sends(r#"source: "interface""#).relays(frame()),
        row("source: an address of ours")
            .sends(r#"source: { address: "10.1.0.1" }"#)
            .relays_as(frame(), from(ours, None, Open::NumberAndPort)),
        row("source: an address of ours and a port")
            .sends(r#"source: { address: "10.1.0.1", port: 4000 }"#)
            .relays_as(frame(), from(ours, Some(4000), Open::Number)),
        row("source: another address")
            .sends(r#"source: { address: "192.0.2.7" }"#)
            .relays_as(plain(), |copy| from(FOREIGN, None, Open::Nothing)(built(copy))),
        row("source: another address and a port")
            .sends(r#"source: { address: "192.0.2.7", port: 4000 }"#)
            .relays_as(plain(), |copy| from(FOREIGN, Some(4000), Open::Nothing)(built(copy))),
    ]
}

const BY_ROUTING: &str = r#"address: "10.2.0.9", port: 6000, source: { address: "192.0.2.7" }"#;
const BY_LINK: &str = r#"interface: "out0", address: "10.2.0.9", port: 6000,
    source: { address: "192.0.2.7" }"#;

/// To one host; the kernel resolves its MAC address.
fn unicast() -> Vec<Row> {
    let row = |name| Row::new(name, Egress::A);
    let to_host = |row: &Row, frame: &Frame| {
        let copy = row.copy(frame, OUT0, RECEIVER, TO_PORT);
        Expected { frame: copy.frame.target_mac(RECEIVER_MAC), ..copy }
    };
    let relays = |row: Row| {
        let copy = to_host(&row, &frame());
        row.takes(frame()).leaves(copy)
    };
    let foreign = |row: Row, plain: Frame| {
        let copy = to_host(&row, &plain);
        let frame = copy.frame.source(FOREIGN).source_port(40_000);
        let frame = frame.id(plain.identification()).fragment_field(plain.fragment());
        row.takes(plain).leaves(Expected { frame, open: Open::Nothing, ..copy })
    };
    let plain = || frame().tos(46 << 2);
    // The kernel does not fragment packets whose headers are ours.
    let large = || Frame::udp(SOURCE, GROUP, PORT, &[0xa5; 3000]).ttl(64).id(0x7778);
    let in_three = |mut row: Row| {
        row.leaves[0].parts = 3;
        row
    };
    vec![
        relays(row("unicast by routing").output(r#"address: "10.2.0.9", port: 6000"#)),
        relays(
            row("unicast with an interface")
                .output(r#"interface: "out0", address: "10.2.0.9", port: 6000"#),
        ),
        relays(
            row("unicast, written as a group")
                .output(r#"interface: "out0", group: "10.2.0.9", port: 6000"#),
        ),
        foreign(row("unicast by routing, from another address").output(BY_ROUTING), plain()),
        in_three(foreign(
            row("unicast by routing, from another address, in fragments").output(BY_ROUTING),
            large(),
        )),
        foreign(row("unicast with an interface, from another address").output(BY_LINK), plain()),
        in_three(foreign(
            row("unicast with an interface, from another address, in fragments").output(BY_LINK),
            large(),
        )),
        // Like a unicast address, which shows to be a broadcast address where the interface is there.
        row("to a subnet's broadcast address")
            .output(r#"interface: "out0", address: "10.2.0.255", port: 6000"#)
            .relays_to(frame(), Ipv4Addr::new(10, 2, 0, 255), TO_PORT),
        // The exit of a tunnel: a socket takes it, and the copy is a new datagram.
        row("a unicast address of ours as input")
            .input(r#"interface: "in0", group: "10.1.0.1", port: 5000"#)
            .sends("")
            .relays(to(Ipv4Addr::new(10, 1, 0, 1), PORT).target_mac(super::INPUT_MAC)),
    ]
}
