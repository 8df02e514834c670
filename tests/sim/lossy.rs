//! Receivers that join and leave, on links that lose.

use crate::network::{Lan, NodeId, Quality, Sim};
use crate::{G, H, all, exclude, include, membership_interval, robust, seconds};
use mcr::types::{HostMode, IgmpVersion, Reception};
use std::time::Duration;

/// A router at 10.1.0.1 and hosts of a version, whose values the hosts know.
fn line(
    seed: u64,
    robustness: u8,
    version: IgmpVersion,
    hosts: u8,
) -> (Sim, Lan, NodeId, Vec<NodeId>) {
    let mut sim = Sim::new(seed);
    let lan = sim.lan();
    let mode = HostMode::Forced(version);
    let hosts = (0..hosts).map(|n| sim.host(lan, 10 + n, mode)).collect();
    let router = sim.router(lan, 1, robust(robustness));
    sim.run(seconds(5));
    (sim, lan, router, hosts)
}

#[test]
fn v2_5_v3_5_joins_and_leaves_are_known_in_time_whatever_is_lost() {
    for loss in [0, 10, 20, 30] {
        for seed in 0..10 {
            for (version, join, leave) in [
                // Robustness x unsolicited report interval, and the last member query time after it.
                (IgmpVersion::V3, seconds(7), seconds(14)),
                // The only leave may be lost: the membership interval.
                (IgmpVersion::V2, seconds(70), membership_interval(7)),
                (IgmpVersion::V1, seconds(70), membership_interval(7)),
            ] {
                let (mut sim, lan, router, hosts) = line(seed, 7, version, 1);
                let context = format!("loss {loss} seed {seed} {version:?}");
                sim.set_quality(lan, Quality::lossy(loss));
                sim.want(hosts[0], lan, G, all());
                let slack = Duration::from_millis(50);
                let known = |sim: &Sim| sim.reception(router, lan, G) == Some(all());
                assert!(sim.run_until(join + slack, known).is_some(), "join, {context}");
                sim.leave(hosts[0], lan, G);
                let gone = |sim: &Sim| sim.reception(router, lan, G).is_none();
                assert!(sim.run_until(leave + slack, gone).is_some(), "leave, {context}");
            }
        }
    }
}

#[test]
fn v2_6_without_loss_a_group_is_gone_after_the_last_member_query_time() {
    for version in [IgmpVersion::V2, IgmpVersion::V3] {
        let (mut sim, lan, router, hosts) = line(3, 2, version, 1);
        sim.want(hosts[0], lan, G, all());
        sim.run(seconds(30));
        sim.leave(hosts[0], lan, G);
        let gone = |sim: &Sim| sim.reception(router, lan, G).is_none();
        let took = sim.run_until(seconds(10), gone).expect("gone");
        assert!(took >= seconds(2) && took < seconds(2) + Duration::from_millis(10), "{took:?}");
    }
}

#[test]
fn v2_6_the_last_of_two_that_leave_one_after_the_other_is_missed_as_soon() {
    for seed in 0..20 {
        let (mut sim, lan, router, hosts) = line(seed, 7, IgmpVersion::V3, 2);
        hosts.iter().for_each(|host| sim.want(*host, lan, G, all()));
        sim.run(seconds(30));
        sim.leave(hosts[0], lan, G);
        // The other has answered by then or will not, and it is still being asked whether there are more.
        sim.run(Duration::from_millis(990));
        sim.leave(hosts[1], lan, G);
        let gone = |sim: &Sim| sim.reception(router, lan, G).is_none();
        assert!(sim.run_until(seconds(8), gone).is_some(), "seed {seed}");
    }
}

#[test]
fn v2_12_a_version_1_host_is_missed_after_the_membership_interval_only() {
    let (mut sim, lan, router, hosts) = line(4, 2, IgmpVersion::V1, 1);
    sim.want(hosts[0], lan, G, all());
    sim.run(seconds(30));
    sim.leave(hosts[0], lan, G);
    let gone = |sim: &Sim| sim.reception(router, lan, G).is_none();
    let took = sim.run_until(membership_interval(2), gone).expect("gone");
    assert!(took > seconds(200), "{took:?}");
}

#[test]
fn v2_7_a_second_receiver_is_never_cut_by_the_leaves_of_others() {
    for version in [IgmpVersion::V2, IgmpVersion::V3] {
        for seed in 0..10 {
            let (mut sim, lan, router, hosts) = line(seed, 7, version, 3);
            sim.set_quality(lan, Quality::lossy(10));
            sim.want(hosts[0], lan, G, all());
            sim.run(seconds(70));
            let before = sim.now;
            for _ in 0..10 {
                for host in &hosts[1..] {
                    sim.want(*host, lan, G, all());
                    sim.run(seconds(13));
                    sim.leave(*host, lan, G);
                    sim.run(seconds(17));
                }
            }
            let cut = sim.changes.iter().filter(|change| change.at > before).find(|change| {
                let of_this = (change.router, change.lan, change.group) == (router, lan, G);
                of_this && change.reception.is_none()
            });
            assert!(cut.is_none(), "seed {seed}: {cut:?}");
            assert_eq!(sim.reception(router, lan, G), Some(all()));
        }
    }
}

#[test]
fn v3_13_sources_follow_too() {
    for seed in 0..10 {
        let (mut sim, lan, router, hosts) = line(seed, 7, IgmpVersion::V3, 2);
        sim.set_quality(lan, Quality::lossy(20));
        sim.want(hosts[0], lan, G, include(&[1, 2]));
        sim.want(hosts[1], lan, G, include(&[2, 3]));
        sim.want(hosts[1], lan, H, exclude(&[9]));
        let is = |group, wanted: Reception| {
            move |sim: &Sim| sim.reception(router, lan, group) == Some(wanted.clone())
        };
        let step = |sim: &mut Sim, group, wanted: Reception, within| {
            let so = sim.run_until(within, is(group, wanted.clone()));
            assert!(
                so.is_some(),
                "seed {seed}: {wanted:?} is {:?}",
                sim.reception(router, lan, group)
            );
        };
        step(&mut sim, G, include(&[1, 2, 3]), seconds(8));
        step(&mut sim, H, exclude(&[9]), seconds(8));
        // Both leave a source that only one of them, or both, had.
        sim.want(hosts[0], lan, G, include(&[2]));
        step(&mut sim, G, include(&[2, 3]), seconds(15));
        sim.want(hosts[1], lan, G, exclude(&[5]));
        step(&mut sim, G, exclude(&[5]), seconds(15));
        sim.leave(hosts[1], lan, G);
        step(&mut sim, G, include(&[2]), seconds(15));
    }
}

#[test]
fn after_quiescence_the_state_is_what_is_wanted() {
    for seed in 0..30 {
        let (mut sim, lan, router, hosts) = line(seed, 2, IgmpVersion::V3, 4);
        sim.set_quality(lan, Quality::lossy(30));
        let mut wanted = std::collections::BTreeMap::new();
        for _ in 0..100 {
            let host = usize::try_from(sim.chance(4)).expect("small");
            let group = if sim.chance(2) == 0 { G } else { H };
            let sources: Vec<u8> = (0..4).filter(|_| sim.chance(2) == 0).collect();
            let wish = if sim.chance(2) == 0 { include(&sources) } else { exclude(&sources) };
            sim.want(hosts[host], lan, group, wish.clone());
            wanted.insert((host, group), wish);
            let pause = sim.chance(3000);
            sim.run(Duration::from_millis(pause));
        }
        sim.set_quality(lan, Quality::default());
        sim.run(membership_interval(2) + seconds(250));
        let together =
            crate::groups::union_of(wanted.into_iter().map(|((_, group), wish)| (group, wish)));
        assert_eq!(sim.known(router, lan), together, "seed {seed}");
    }
}
