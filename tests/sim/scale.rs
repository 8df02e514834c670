//! Many routers for a long time.

use crate::groups::union_of;
use crate::network::{Quality, Sim};
use crate::{all, include, membership_interval, robust, seconds};
use mcr::types::{HostMode, Reception};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// What was said in an hour, and what each router knew at its end.
type Outcome = (usize, Vec<BTreeMap<Ipv4Addr, Reception>>);

/// 20 routers that share a link and have one each below, with three hosts there that change their mind.
fn hour(seed: u64) -> Outcome {
    let mut sim = Sim::new(seed);
    let shared = sim.lan();
    let mut wishes = BTreeMap::new();
    let mut below = Vec::new();
    for n in 1..=20 {
        let lan = sim.lan();
        let router = sim.node();
        sim.listen(router, shared, 100 + n, HostMode::Own);
        sim.route(router, lan, 1, robust(3));
        sim.proxy(router, shared);
        let hosts = [10, 11, 12].map(|last| sim.host(lan, last, HostMode::Own));
        below.push((lan, router, hosts));
        sim.set_quality(lan, Quality::lossy(5));
    }
    sim.set_quality(shared, Quality::lossy(5));
    let top = sim.router(shared, 1, robust(3));
    for minute in 0..60 {
        if minute == 50 {
            below.iter().for_each(|(lan, ..)| sim.set_quality(*lan, Quality::default()));
            sim.set_quality(shared, Quality::default());
        }
        for (at, (lan, _, hosts)) in below.iter().enumerate() {
            let host = usize::try_from(sim.chance(3)).expect("small");
            let group = Ipv4Addr::new(239, 0, 0, u8::try_from(sim.chance(5)).expect("small"));
            let wish = match sim.chance(4) {
                0 => include(&[1, 2]),
                1 => all(),
                _ => include(&[]),
            };
            // The last minutes are quiet.
            if minute < 45 {
                sim.want(hosts[host], *lan, group, wish.clone());
                wishes.insert((at, host, group), wish);
            }
        }
        sim.run(seconds(60));
    }
    sim.run(membership_interval(3));
    let mut known = Vec::new();
    for (at, (lan, router, _)) in below.iter().enumerate() {
        let of_link = wishes.iter().filter(|((of, ..), _)| *of == at);
        let wanted = union_of(of_link.map(|((_, _, group), wish)| (*group, wish.clone())));
        assert_eq!(sim.known(*router, *lan), wanted, "below router {at}");
        known.push(wanted);
    }
    let wanted = union_of(known.iter().flatten().map(|(group, wish)| (*group, wish.clone())));
    assert_eq!(sim.known(top, shared), wanted, "on the shared link");
    known.push(wanted);
    (sim.sent.len(), known)
}

#[test]
fn an_hour_of_twenty_routers_ends_as_wanted_in_moments_and_is_the_same_again() {
    let start = Instant::now();
    let outcome = hour(1);
    let took = start.elapsed();
    println!("{} packets in {took:?}", outcome.0);
    assert!(outcome.0 > 2000, "{} packets", outcome.0);
    assert!(took < Duration::from_secs(10), "{took:?}, of an hour");
    assert_eq!(hour(1), outcome, "the same seed");
    assert_ne!(hour(2), outcome, "another seed");
}
