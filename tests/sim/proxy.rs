//! A proxy asks upstream for what is wanted below (RFC 4605).

use crate::network::{Lan, NodeId, Quality, Sim};
use crate::{G, H, all, exclude, include, membership_interval, robust, seconds};
use mcr::types::{HostMode, IgmpVersion};
use std::collections::BTreeMap;

/// A router above, a proxy, and a host on each of two links below it.
struct Tree {
    sim: Sim,
    above: Lan,
    below: [Lan; 2],
    router: NodeId,
    proxy: NodeId,
    hosts: [NodeId; 2],
}

fn tree(seed: u64, below_mode: HostMode) -> Tree {
    let mut sim = Sim::new(seed);
    let (above, below) = (sim.lan(), [sim.lan(), sim.lan()]);
    let router = sim.router(above, 1, robust(2));
    let proxy = sim.node();
    sim.listen(proxy, above, 50, HostMode::Own);
    for lan in below {
        sim.route(proxy, lan, 1, robust(2));
    }
    sim.proxy(proxy, above);
    let hosts = below.map(|lan| sim.host(lan, 10, below_mode));
    sim.run(seconds(5));
    Tree { sim, above, below, router, proxy, hosts }
}

#[test]
fn the_leave_goes_up_after_the_last_member_only() {
    for version in [IgmpVersion::V2, IgmpVersion::V3] {
        let Tree { mut sim, above, below, router, proxy, hosts } =
            tree(11, HostMode::Forced(version));
        for (host, lan) in hosts.into_iter().zip(below) {
            sim.want(host, lan, G, all());
            sim.run(seconds(1));
            assert_eq!(sim.reception(router, above, G), Some(all()));
        }
        sim.run(seconds(60));
        let before = sim.sent.iter().filter(|sent| sent.from == proxy && sent.lan == above).count();
        sim.leave(hosts[0], below[0], G);
        sim.run(seconds(10));
        let after = sim.sent.iter().filter(|sent| sent.from == proxy && sent.lan == above).count();
        assert_eq!(after, before, "nothing has changed for those above");
        sim.leave(hosts[1], below[1], G);
        sim.run(seconds(2) - std::time::Duration::from_millis(100));
        assert_eq!(sim.reception(router, above, G), Some(all()), "it is asked below first");
        // The last member query time below, then that above.
        sim.run(seconds(3));
        assert_eq!(sim.reception(router, above, G), None);
    }
}

#[test]
fn upstream_is_asked_for_the_union() {
    let Tree { mut sim, above, below, router, proxy, hosts } = tree(12, HostMode::Own);
    let cases = [
        (include(&[1]), include(&[2]), include(&[1, 2])),
        (include(&[1]), exclude(&[1, 2]), exclude(&[2])),
        (exclude(&[1, 3]), exclude(&[1, 2]), exclude(&[1])),
        (exclude(&[1]), include(&[]), exclude(&[1])),
        (include(&[4]), include(&[]), include(&[4])),
    ];
    for (one, other, union) in cases {
        sim.want(hosts[0], below[0], G, one);
        sim.want(hosts[1], below[1], G, other);
        sim.want(hosts[1], below[1], H, all());
        sim.run(seconds(10));
        let expected = BTreeMap::from([(G, union), (H, all())]);
        assert_eq!(sim.reported(proxy, above), expected);
        assert_eq!(sim.known(router, above), expected);
    }
}

#[test]
fn with_losses_the_tree_comes_to_what_is_wanted() {
    for seed in 0..20 {
        let Tree { mut sim, above, below, router, hosts, .. } = tree(seed, HostMode::Own);
        for lan in [above, below[0], below[1]] {
            sim.set_quality(lan, Quality::lossy(30));
        }
        for _ in 0..30 {
            let at = usize::from(sim.chance(2) == 0);
            let wish = if sim.chance(2) == 0 { all() } else { include(&[]) };
            sim.want(hosts[at], below[at], G, wish);
            let pause = sim.chance(20);
            sim.run(seconds(pause));
        }
        sim.want(hosts[0], below[0], G, include(&[]));
        sim.want(hosts[1], below[1], G, include(&[3]));
        for lan in [above, below[0], below[1]] {
            sim.set_quality(lan, Quality::default());
        }
        sim.run(membership_interval(2) * 3);
        let expected = BTreeMap::from([(G, include(&[3]))]);
        assert_eq!(sim.known(router, above), expected, "seed {seed}");
    }
}
