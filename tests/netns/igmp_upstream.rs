//! What we ask for ourselves: by our own reports towards FRR, and on while control is dead.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay                   |        | receiver      |
//!  | src0           |--------| in0                out0 |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-------------------------+        +---------------+
//! ```

use crate::lab::{
    Frr, Joined, Lab, Line, Members, Relay, SOON, Send, Stream, groups, last_sent, sent_by, verify,
    wait_for, wait_group,
};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::time::Duration;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

/// FRR as the querier where the source is.
fn frr(version: u8) -> String {
    format!(
        "interface src0\n ip igmp\n ip igmp version {version}\n ip igmp query-max-response-time 20\n \
         ip igmp query-interval 5\n"
    )
}

fn stream<'a>(to: &'a str, rate: u64) -> Send<'a> {
    let count = Stream::ENDLESS;
    Send { interface: "src0", to: (to, 5000), rate, count, stream: 1, args: "--size 200" }
}

/// FRR's groups with versions, and sources, of what is ours.
fn at_frr(peer: &Frr, line: &Line) -> Vec<(String, u64, Vec<String>)> {
    let list = |of: &Value| of.as_array().cloned().unwrap_or_default();
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let groups = peer.show(&line.source, "show ip igmp groups json");
    let sources = peer.show(&line.source, "show ip igmp sources json");
    let mut seen: Vec<_> = list(&groups["src0"]["groups"])
        .iter()
        .filter(|group| !text(&group["group"]).starts_with("224."))
        .map(|group| {
            let name = text(&group["group"]);
            let of_group = list(&sources["src0"][&name]["sources"]);
            let sources = of_group.iter().map(|source| text(&source["source"]));
            let sources = sources.filter(|source| source != "*").collect();
            (name, group["version"].as_u64().unwrap_or(0), sources)
        })
        .collect();
    seen.sort();
    seen
}

/// Our own reports, in the version that the file says: FRR has the groups and sources, the kernel has none.
pub(crate) fn our_own_reports_reach_frr(lab: &Lab) {
    let line = Line::new(lab);
    let peer = Frr::start(&line.source, lab.directory(), &frr(3));
    let file = |version: &str, rules: &str| {
        format!(
            "{{ igmp: {{ host: [{{ name: 'in0', version: '{version}', reports: 'own' }}] }}, rules: [{rules}] }}"
        )
    };
    let one = |name: &str, input: &str| {
        format!(
            "{{ name: '{name}', input: {{ interface: 'in0', {input}, port: 5000 }},
               outputs: [{{ interface: 'out0', group: '239.9.9.9' }}] }},"
        )
    };
    let is = |what: &str, expected: &[(&str, u64, &[&str])]| {
        wait_for(what, SOON * 2, || {
            let seen = at_frr(&peer, &line);
            let short: Vec<_> = seen
                .iter()
                .map(|(group, version, sources)| {
                    (&**group, *version, sources.iter().map(|s| &**s).collect::<Vec<_>>())
                })
                .collect();
            let right = short.len() == expected.len()
                && short.iter().zip(expected).all(|((g, v, s), (group, version, sources))| {
                    g == group && v == version && s == sources
                });
            if right { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        let joined = Joined::now(&line.relay).on("in0");
        assert!(joined.is_empty(), "never both on one interface: {joined:?}");
    };
    let (plain, specific) = (
        one("plain", "group: '239.1.1.1'"),
        one("specific", "group: '232.1.1.1', source: '10.1.0.10'"),
    );

    let mcrd = Relay::with_config(&line.relay, lab.directory(), &file("v2", &plain));
    mcrd.wait_all_active(1);
    is("a report of version 2", &[("239.1.1.1", 2, &[])]);
    // What is asked for comes in, and leaves.
    let flows = Stream::start(
        (&line.source, &stream("239.1.1.1", 500)),
        (&line.receiver, "rcv0", ("239.9.9.9", 5000)),
    );
    let count = || sent_by(&mcrd, "plain");
    wait_for("the stream flows", SOON, || if count() > 500 { Ok(()) } else { Err(count()) });
    flows.end("asked for by our own reports");

    mcrd.reload(&file("v3", ""));
    is("a leave", &[]);
    mcrd.reload(&file("v3", &format!("{plain}{specific}")));
    is(
        "reports of version 3, one of a source",
        &[("232.1.1.1", 3, &["10.1.0.10"]), ("239.1.1.1", 3, &[])],
    );
    mcrd.reload(&file("v3", &plain));
    is("the source is given up", &[("239.1.1.1", 3, &[])]);
    drop(peer);
    mcrd.stop();
}

/// Control dies again and again while members watch: nothing is lost; who leaves meanwhile is missed by the next.
pub(crate) fn control_is_killed_among_members(lab: &Lab) {
    let line = Line::new(lab);
    let mut mcrd = Relay::with_config(
        &line.relay,
        lab.directory(),
        r#"{ igmp: { interfaces: [{ name: "out0", queryIntervalSeconds: 20, queryResponseInterval: "1s" }] },
             rules: [{ name: "video", input: { interface: "in0", group: "239.1.1.1", port: 5000, join: "on-demand" },
               outputs: [{ interface: "out0", when: "joined" }] }] }"#,
    );
    mcrd.wait_all_active(1);
    let plane = mcrd.plane_pid();
    let members = Members::of(&line.receiver, "rcv0", &groups(GROUP, 1));
    let count = |mcrd: &Relay| sent_by(mcrd, "video");
    let known = |mcrd: &Relay| {
        wait_group(mcrd, "out0", GROUP);
        wait_for("it is asked for upstream", SOON, || {
            let asked = Joined::now(&line.relay).on("in0");
            if asked.contains(&GROUP) { Ok(()) } else { Err(format!("{asked:?}")) }
        });
    };
    known(&mcrd);
    let flows = Stream::start(
        (&line.source, &stream("239.1.1.1", 2000)),
        (&line.receiver, "rcv0", ("239.1.1.1", 5000)),
    );
    for round in 0..if verify() { 50 } else { 3 } {
        let before = count(&mcrd);
        mcrd.kill();
        mcrd = mcrd.again(&line.relay);
        mcrd.wait_all_active(1);
        assert_eq!(mcrd.plane_pid(), plane);
        wait_for("it flows on", SOON, || match count(&mcrd) {
            now if now > before + 200 => Ok(()),
            now => Err(now),
        });
        // Every other time before the members have answered the new one's first query.
        if round % 2 == 0 {
            known(&mcrd);
        }
    }
    let received = flows.end("while control was killed");
    println!("{received} datagrams for members while control was killed, none lost");

    // Who leaves while nobody listens.
    known(&mcrd);
    let (mut sending, before) = (stream("239.1.1.1", 1000).start(&line.source), count(&mcrd));
    wait_for("the stream is sent", SOON, || {
        if count(&mcrd) > before { Ok(()) } else { Err(count(&mcrd)) }
    });
    mcrd.kill();
    drop(members);
    let mcrd = mcrd.again(&line.relay);
    mcrd.wait_all_active(1);
    last_sent(&mcrd, "video", Duration::from_millis(200));
    wait_for("nobody is asked upstream", SOON, || {
        let joined = Joined::now(&line.relay).on("in0");
        if joined.is_empty() { Ok(()) } else { Err(format!("{joined:?}")) }
    });
    assert_eq!(sending.try_wait(), None, "it was sent all the time");
    mcrd.stop();
}

/// The switch between the source and us loses our port for a moment, and with it what we asked for: it hears of it
/// again, from the kernel and from us, though nobody queries and its port is in use only a second after our link.
pub(crate) fn a_lost_link_is_asked_on_again(lab: &Lab) {
    let line = Line::new(lab);
    line.source.run("ip link add br0 type bridge mcast_snooping 1");
    line.source.run("ip link set src0 master br0");
    line.source.run("ip link set br0 up");
    let forwards = || {
        let port = line.source.run("bridge link show dev src0");
        if port.contains("state forwarding") { Ok(()) } else { Err(port) }
    };
    wait_for("the port is in use", SOON, forwards);
    let knows_us = |expected: bool| {
        let what = format!("the switch knows us: {expected}");
        wait_for(&what, SOON, || {
            let shown = line.source.run("bridge mdb show");
            let known = shown.contains("port src0 grp 239.1.1.1");
            if known == expected { Ok(()) } else { Err(shown) }
        });
    };
    for host in ["", "igmp: { host: [{ name: 'in0', version: 'v3', reports: 'own' }] },"] {
        let file = format!(
            "{{ {host} rules: [{{ name: 'a', input: {{ interface: 'in0', group: '239.1.1.1', port: 5000 }},
                 outputs: [{{ interface: 'out0', group: '239.9.9.9' }}] }}] }}"
        );
        let mcrd = Relay::with_config(&line.relay, lab.directory(), &file);
        mcrd.wait_all_active(1);
        knows_us(true);
        for _ in 0..if verify() { 20 } else { 2 } {
            line.source.run("ip link set src0 down");
            knows_us(false);
            line.source.run("ip link set src0 up");
            knows_us(true);
        }
        mcrd.stop();
        // The kernel leaves with our sockets, we with a report.
        line.source.run("ip link set src0 down");
        knows_us(false);
        line.source.run("ip link set src0 up");
        wait_for("the port is in use", SOON, forwards);
    }
}
