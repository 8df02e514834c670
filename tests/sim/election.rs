//! Several routers on a link: one of them asks.

use crate::network::{Lan, NodeId, Sim};
use crate::{G, H, all, robust, seconds};
use mcr::igmp::packet::{Message, decode};
use mcr::types::{HostMode, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// Who sent general queries since then.
fn queriers(sim: &Sim, lan: Lan, since: Time) -> BTreeSet<NodeId> {
    let sent = sim.sent.iter().filter(|sent| sent.lan == lan && sent.at >= since);
    sent.filter(|sent| {
        let received = decode(&sent.packet).expect("routers and hosts send valid packets");
        matches!(received.message, Message::Query(query) if query.group.is_none())
    })
    .map(|sent| sent.from)
    .collect()
}

#[test]
fn v2_4_the_lower_address_asks_and_when_it_dies_the_other_takes_over() {
    let mut sim = Sim::new(5);
    let lan = sim.lan();
    let high = sim.router(lan, 200, robust(2));
    let member = sim.host(lan, 10, HostMode::Own);
    sim.want(member, lan, G, all());
    sim.run(seconds(60));
    assert_eq!(queriers(&sim, lan, Time(0)), BTreeSet::from([high]));
    let low = sim.router(lan, 2, robust(2));
    sim.run(seconds(1));
    let elected = sim.now;
    sim.run(seconds(600));
    assert_eq!(queriers(&sim, lan, elected), BTreeSet::from([low]));
    let died = sim.now;
    sim.kill(low);
    // 2 x 125 s + 10 s / 2 (RFC 9776 section 8.5) after its last query, which is up to 125 s old.
    let took = sim.run_until(seconds(256), |sim| queriers(sim, lan, died).contains(&high));
    let took = took.expect("the other takes over");
    assert!(took >= seconds(255 - 125), "{took:?}");
    sim.run(seconds(600));
    // The member was known to the one that only listened, all the time, and still is.
    let lost: Vec<_> = sim
        .changes
        .iter()
        .filter(|change| change.router == high && change.reception.is_none())
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(sim.reception(high, lan, G), Some(all()));
}

#[test]
fn v2_8_a_querier_that_is_replaced_ends_the_last_member_process_that_it_began() {
    for stays in [false, true] {
        let mut sim = Sim::new(6);
        let lan = sim.lan();
        let high = sim.router(lan, 200, robust(2));
        let leaver = sim.host(lan, 10, HostMode::Own);
        let stayer = sim.host(lan, 11, HostMode::Own);
        sim.want(leaver, lan, G, all());
        sim.want(stayer, lan, H, all());
        if stays {
            sim.want(stayer, lan, G, all());
        }
        sim.run(seconds(60));
        sim.leave(leaver, lan, G);
        sim.run(Duration::from_millis(500));
        sim.router(lan, 2, robust(2));
        sim.run(Duration::from_millis(1550));
        // 2 s after the leave it is gone, although another one asks since.
        assert_eq!(sim.reception(high, lan, G), stays.then(all));
        sim.run(seconds(300));
        assert_eq!(sim.reception(high, lan, G), stays.then(all));
        assert_eq!(sim.reception(high, lan, H), Some(all()));
    }
}

#[test]
fn v2_9_a_router_that_only_listens_lowers_its_timers_with_the_querier() {
    let mut sim = Sim::new(7);
    let lan = sim.lan();
    let low = sim.router(lan, 2, robust(2));
    let high = sim.router(lan, 200, robust(2));
    let member = sim.host(lan, 10, HostMode::Own);
    sim.want(member, lan, G, all());
    sim.run(seconds(300));
    sim.leave(member, lan, G);
    for router in [low, high] {
        let gone = |sim: &Sim| sim.reception(router, lan, G).is_none();
        assert!(sim.run_until(seconds(4), gone).is_some(), "{router:?}");
    }
}

#[test]
fn of_many_the_lowest_asks_alone() {
    let mut sim = Sim::new(8);
    let lan = sim.lan();
    let routers: Vec<_> =
        (1..=20).rev().map(|last| sim.router(lan, last * 10, robust(2))).collect();
    sim.run(seconds(60));
    let settled = sim.now;
    sim.run(seconds(1000));
    assert_eq!(queriers(&sim, lan, settled), BTreeSet::from([routers[19]]));
}
