//! Hosts of all versions on one group.

use crate::network::Sim;
use crate::{G, H, all, include, membership_interval, robust, seconds};
use mcr::types::{HostMode, IgmpVersion};

const V1: HostMode = HostMode::Forced(IgmpVersion::V1);
const V2: HostMode = HostMode::Forced(IgmpVersion::V2);
const V3: HostMode = HostMode::Forced(IgmpVersion::V3);

#[test]
fn v3_10_v2_12_the_oldest_host_says_how_a_group_is_treated() {
    let mut sim = Sim::new(9);
    let lan = sim.lan();
    let router = sim.router(lan, 1, robust(2));
    let [one, two, three] =
        [(11, V1), (12, V2), (13, V3)].map(|(last, mode)| sim.host(lan, last, mode));
    sim.want(three, lan, G, include(&[1]));
    sim.want(three, lan, H, include(&[1]));
    sim.run(seconds(30));
    assert_eq!(sim.reception(router, lan, G), Some(include(&[1])));
    // Those who cannot say sources want all, and are known at once.
    for host in [two, one] {
        sim.want(host, lan, G, all());
        sim.run(seconds(1));
        assert_eq!(sim.reception(router, lan, G), Some(all()));
    }
    sim.run(seconds(300));
    // Of the version 1 host no leave is expected, so those of others are not believed.
    let before = sim.changes.len();
    sim.leave(two, lan, G);
    sim.leave(three, lan, G);
    sim.run(seconds(100));
    assert_eq!(sim.reception(router, lan, G), Some(all()));
    sim.want(three, lan, G, include(&[1]));
    sim.leave(one, lan, G);
    sim.run(seconds(60));
    assert!(sim.changes[before..].iter().all(|change| change.reception.is_some()));
    // When the old ones have been silent for their time, only the source is left.
    sim.run(membership_interval(2) + seconds(30));
    assert_eq!(sim.reception(router, lan, G), Some(include(&[1])));
    assert_eq!(sim.reception(router, lan, H), Some(include(&[1])), "another group is not touched");
}

#[test]
fn version_2_hosts_speak_for_each_other_and_none_is_cut() {
    let mut sim = Sim::new(10);
    let lan = sim.lan();
    let router = sim.router(lan, 1, robust(2));
    let hosts: Vec<_> = (10..20).map(|last| sim.host(lan, last, V2)).collect();
    for host in &hosts {
        sim.want(*host, lan, G, all());
    }
    sim.run(seconds(60));
    let before = sim.sent.iter().filter(|sent| hosts.contains(&sent.from)).count();
    sim.run(seconds(1250));
    let reports = sim.sent.iter().filter(|sent| hosts.contains(&sent.from)).count() - before;
    // Ten queries or eleven; where two delays lie within a packet's time under way both report.
    assert!((10..=14).contains(&reports), "{reports}");
    for host in &hosts[1..] {
        sim.leave(*host, lan, G);
        sim.run(seconds(5));
        assert_eq!(sim.reception(router, lan, G), Some(all()));
    }
    sim.leave(hosts[0], lan, G);
    sim.run(seconds(3));
    assert_eq!(sim.reception(router, lan, G), None);
}
