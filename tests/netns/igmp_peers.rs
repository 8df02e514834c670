//! Other people's IGMP on the same link: FRR as querier and upstream, a snooping bridge, igmpproxy.
//!
//! ```text
//!                            +--------------+
//!  +----------------+        | lan          |        +----------------+
//!  | relay     out0 |--------| bridge  peer |--------| p0   peer      |
//!  | 10.2.0.2/24    |  veth  |              |  veth  | 10.2.0.1/24    |   the lower address
//!  +----------------+        |         host |--------| h0   host      |
//!                            +--------------+  veth  | 10.2.0.9/24    |
//!                                                    +----------------+
//! ```

use crate::lab::{
    Frr, Joined, Lab, Members, Namespace, Process, Relay, SOON, groups, groups_on, igmp_on,
    igmp_stats, wait_for, wait_group,
};
use std::net::Ipv4Addr;
use std::time::Duration;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 7, 0, 1);

/// A bridge with the relay, a peer and a host.
struct Lan {
    bridge: Namespace,
    relay: Namespace,
    peer: Namespace,
    host: Namespace,
}

impl Lan {
    fn new(lab: &Lab) -> Self {
        let [relay, peer, host] = ["relay", "peer", "host"].map(|name| lab.namespace(name));
        // It passes everything on, and asks nobody.
        let bridge = lab.lan(
            "lan",
            "mcast_snooping 0",
            &[
                (&relay, "out0", "10.2.0.2/24"),
                (&peer, "p0", "10.2.0.1/24"),
                (&host, "h0", "10.2.0.9/24"),
            ],
        );
        Self { bridge, relay, peer, host }
    }
}

fn querier(version: u8) -> String {
    format!(
        r#"{{ igmp: {{ interfaces: [{{ name: "out0", version: {version}, queryIntervalSeconds: 30,
            queryResponseInterval: "1s" }}] }}, rules: [] }}"#
    )
}

fn frr(version: u8) -> String {
    format!(
        "interface p0\n ip igmp\n ip igmp version {version}\n ip igmp query-max-response-time 20\n \
         ip igmp query-interval 5\n"
    )
}

fn becomes(
    mcrd: &Relay,
    what: &str,
    deadline: Duration,
    right: impl Fn(&serde_json::Value) -> bool,
) {
    wait_for(what, deadline, || {
        let shown = igmp_on(mcrd, "out0");
        if right(&shown) { Ok(()) } else { Err(shown.to_string()) }
    });
}

/// I-3: the lower address asks, and we listen and adopt its interval; it dies, and we ask.
pub(crate) fn i_3_frr_is_elected(lab: &Lab) {
    let lan = Lan::new(lab);
    let mcrd = Relay::with_config(&lan.relay, lab.directory(), &querier(3));
    becomes(&mcrd, "we ask first", SOON, |shown| shown["querier"] == "local");
    let peer = Frr::start(&lan.peer, lab.directory(), &frr(3));
    becomes(&mcrd, "the lower address is the querier", SOON * 3, |shown| {
        shown["querier"] == "other" && shown["querierIp"] == "10.2.0.1"
    });
    // V3-9: its query interval is in force, whatever ours was.
    assert_eq!(igmp_on(&mcrd, "out0")["queryInterval"], 5, "{}", igmp_on(&mcrd, "out0"));
    let sent = || igmp_stats(&mcrd, "out0")["sent"]["general_query"].as_u64().expect("a count");
    let silent = sent();
    let member = Members::of(&lan.host, "h0", &groups(GROUP, 1));
    wait_group(&mcrd, "out0", GROUP);
    let interfaces = peer.show(&lan.peer, "show ip igmp groups json");
    assert!(interfaces.to_string().contains(&GROUP.to_string()), "{interfaces}");
    assert_eq!(sent(), silent, "who is not the querier does not ask");
    drop(peer);
    // Robustness x 5 s + half of 2 s (RFC 9776 section 8.5), and what a busy machine adds.
    becomes(&mcrd, "we ask again", SOON * 3, |shown| shown["querier"] == "local");
    assert!(sent() > silent, "the new querier asks at once");
    drop(member);
    mcrd.stop();
}

/// I-4, V3-12: a querier of another version is told about, and members are found all the same.
pub(crate) fn i_4_frr_speaks_version_2(lab: &Lab) {
    let lan = Lan::new(lab);
    let mcrd = Relay::with_config(&lan.relay, lab.directory(), &querier(3));
    let peer = Frr::start(&lan.peer, lab.directory(), &frr(2));
    wait_for("the mismatch is counted", SOON * 3, || {
        let stats = igmp_stats(&mcrd, "out0");
        let seen = stats["received"]["query_v2"].as_u64().unwrap_or(0) > 0;
        let named = stats["versionMismatches"].as_u64().unwrap_or(0) > 0;
        if seen && named { Ok(()) } else { Err(stats.to_string()) }
    });
    let member = Members::of(&lan.host, "h0", &groups(GROUP, 1));
    wait_for("a member of version 2", SOON, || {
        let there = groups_on(&mcrd, "out0");
        match there.get(&GROUP) {
            Some(group) if group["version"] == 2 => Ok(()),
            _ => Err(format!("{there:?}")),
        }
    });
    drop((member, peer));
    mcrd.stop();
}

/// I-5: a snooping bridge that asks from 0.0.0.0 does not silence us, and knows us as a router.
pub(crate) fn i_5_a_snooping_bridge(lab: &Lab) {
    let lan = Lan::new(lab);
    lan.bridge.run("ip link set bridge0 type bridge mcast_snooping 1 mcast_querier 1");
    let mcrd = Relay::with_config(&lan.relay, lab.directory(), &querier(3));
    becomes(&mcrd, "we ask", SOON, |shown| shown["querier"] == "local");
    wait_for("the bridge takes our port for a router's", SOON, || {
        let shown = lan.bridge.run("bridge -d mdb show");
        let ports: Vec<&str> = shown.lines().filter(|line| line.contains("router ports")).collect();
        let right = ports.iter().any(|line| line.contains("to-relay"));
        if right { Ok(()) } else { Err(shown.clone()) }
    });
    // Reports come to us through the bridge, which shows them to routers only.
    let member = Members::of(&lan.host, "h0", &groups(GROUP, 1));
    wait_group(&mcrd, "out0", GROUP);
    let shown = igmp_on(&mcrd, "out0");
    assert_eq!(shown["querier"], "local", "queries from 0.0.0.0 elect nobody: {shown}");
    drop(member);
    mcrd.stop();
}

/// I-6: igmpproxy below us reports for the hosts behind it.
pub(crate) fn i_6_igmpproxy_below(lab: &Lab) {
    let lan = Lan::new(lab);
    let behind = lab.namespace("behind");
    lab.veth((&lan.peer, "down0"), (&behind, "b0"), 1500);
    lan.peer.address("down0", "10.8.0.1/24");
    behind.address("b0", "10.8.0.9/24");
    let mcrd = Relay::with_config(&lan.relay, lab.directory(), &querier(3));
    let file = lab.directory().join("igmpproxy.conf");
    let text = "quickleave\nphyint p0 upstream ratelimit 0 threshold 1\n altnet 10.0.0.0/8\n\
                phyint down0 downstream ratelimit 0 threshold 1\nphyint lo disabled\n";
    std::fs::write(&file, text).expect("writing the peer's configuration");
    let _proxy: Process = lan.peer.spawn("igmpproxy", &["-n", &file.display().to_string()]);
    let member = Members::of(&behind, "b0", &groups(GROUP, 3));
    wait_for("the proxy reports for who is behind it", SOON * 2, || {
        let there = groups_on(&mcrd, "out0");
        if there.len() == 3 { Ok(()) } else { Err(format!("{there:?}")) }
    });
    drop(member);
    wait_for("and leaves for it", SOON * 2, || {
        let there = groups_on(&mcrd, "out0");
        if there.is_empty() { Ok(()) } else { Err(format!("{there:?}")) }
    });
    mcrd.stop();
}

/// I-6, RFC 4605: we ask FRR for what hosts below us want, and no more; what is of the link stays there.
pub(crate) fn i_6_we_are_the_proxy(lab: &Lab) {
    let lan = Lan::new(lab);
    let hosts = [lab.namespace("first"), lab.namespace("second")];
    for (number, host) in hosts.iter().enumerate() {
        lab.veth((&lan.relay, &format!("down{number}")), (host, "b0"), 1500);
        lan.relay.address(&format!("down{number}"), &format!("10.{}.0.1/24", 8 + number));
        host.address("b0", &format!("10.{}.0.9/24", 8 + number));
    }
    let mcrd = Relay::with_config(
        &lan.relay,
        lab.directory(),
        r#"{ rules: [{ name: "proxy",
            input: { interface: "out0", group: "239.0.0.0/8", join: "on-demand" },
            outputs: [{ interfaces: [{ nameGlob: "down*" }], when: "joined", source: "keep", ttl: "decrement" }] }] }"#,
    );
    mcrd.wait_all_active(1);
    let peer = Frr::start(&lan.peer, lab.directory(), &frr(3));
    let upstream = || {
        let shown = peer.show(&lan.peer, "show ip igmp groups json");
        let groups = shown["p0"]["groups"].as_array().cloned().unwrap_or_default();
        let mut groups: Vec<String> =
            groups.iter().filter_map(|group| group["group"].as_str().map(str::to_owned)).collect();
        groups.sort();
        groups.dedup();
        groups
    };
    let is = |what: &str, expected: &[&str]| {
        wait_for(what, SOON * 2, || {
            let groups = upstream();
            let ours: Vec<&str> =
                groups.iter().map(String::as_str).filter(|g| g.starts_with("239.")).collect();
            assert!(!groups.iter().any(|g| g.starts_with("224.0.0.")), "of the link: {groups:?}");
            if ours == expected { Ok(()) } else { Err(format!("{groups:?}")) }
        });
    };
    is("nothing is asked for", &[]);
    let first = Members::of(&hosts[0], "b0", &groups(GROUP, 1));
    let second = Members::of(&hosts[1], "b0", &groups(GROUP, 2));
    is("both groups are asked for", &["239.7.0.1", "239.7.0.2"]);
    assert_eq!(Joined::now(&lan.relay).on("out0").len(), 2);
    drop(first);
    wait_for("the first has left", SOON, || {
        let there = groups_on(&mcrd, "down0");
        if there.is_empty() { Ok(()) } else { Err(format!("{there:?}")) }
    });
    is("the other host wants it still", &["239.7.0.1", "239.7.0.2"]);
    drop(second);
    is("nobody wants anything", &[]);
    drop(peer);
    mcrd.stop();
}
