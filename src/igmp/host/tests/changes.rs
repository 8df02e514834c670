//! What is told about changes (RFC 9776 section 5.1).

use super::*;
use RecordKind::{Allow, Block, ToEx, ToIn};

fn v3(records: &[(RecordKind, Ipv4Addr, &[u8])]) -> Said {
    Said::V3(records.iter().map(|(kind, group, of)| (*kind, *group, of.to_vec())).collect())
}

#[test]
fn each_change_has_its_records() {
    type Case = (Reception, Reception, &'static [(RecordKind, Ipv4Addr, &'static [u8])]);
    let cases: [Case; 9] = [
        (include(&[]), exclude(&[]), &[(ToEx, G, &[])]),
        (include(&[]), include(&[1, 2]), &[(Allow, G, &[1, 2])]),
        (include(&[1, 2]), include(&[2, 3]), &[(Allow, G, &[3]), (Block, G, &[1])]),
        (include(&[1, 2]), include(&[1]), &[(Block, G, &[2])]),
        (include(&[1]), include(&[]), &[(Block, G, &[1])]),
        (exclude(&[1, 2]), exclude(&[2, 3]), &[(Allow, G, &[1]), (Block, G, &[3])]),
        (include(&[1]), exclude(&[2]), &[(ToEx, G, &[2])]),
        (exclude(&[1]), include(&[2]), &[(ToIn, G, &[2])]),
        (exclude(&[1]), include(&[]), &[(ToIn, G, &[])]),
    ];
    for (old, new, records) in cases {
        let mut bench = Bench::new(HostMode::Own);
        bench.want(G, old.clone());
        bench.settle();
        assert_eq!(bench.want(G, new.clone()), [v3(records)], "{old:?} -> {new:?}");
        // Once more, within the unsolicited report interval of 1 s (section 8.11), and never again.
        let later = bench.pass(seconds(100));
        assert_eq!(later.len(), 1, "{old:?} -> {new:?}: {later:?}");
        assert_eq!(later[0].1, v3(records));
        assert!(later[0].0 <= seconds(1));
        assert_eq!(bench.set(), [], "nothing has changed");
    }
}

#[test]
fn the_queriers_robustness_is_how_often_a_change_is_told() {
    for (said, times) in [(7, 7), (3, 3), (2, 2), (1, 2), (0, 2)] {
        let mut bench = Bench::new(HostMode::Own);
        bench.query(QueryToSend { robustness: 5, ..query() });
        bench.query(QueryToSend { robustness: said, ..query() });
        bench.settle();
        let mut all = bench.want(G, exclude(&[]));
        let later = bench.pass(seconds(100));
        let mut before = Duration::ZERO;
        for (at, _) in &later {
            assert!(*at > before && *at - before <= seconds(1), "{at:?} after {before:?}");
            before = *at;
        }
        all.extend(later.into_iter().map(|(_, said)| said));
        assert_eq!(all, vec![v3(&[(ToEx, G, &[])]); times], "QRV {said}");
    }
}

#[test]
fn intervals_between_repetitions_are_by_chance() {
    let gaps: BTreeSet<_> = (0..50)
        .map(|seed| {
            let mut bench = Bench::seeded(HostMode::Own, seed);
            bench.want(G, exclude(&[]));
            bench.pass(seconds(5))[0].0
        })
        .collect();
    assert_eq!(gaps.len(), 50);
    assert!(gaps.first() < Some(&Duration::from_millis(200)));
    assert!(gaps.last() > Some(&Duration::from_millis(800)));
}

#[test]
fn sources_that_change_while_others_are_told_are_told_with_them() {
    let mut bench = Bench::new(HostMode::Own);
    assert_eq!(bench.want(G, include(&[1])), [v3(&[(Allow, G, &[1])])]);
    // Merged: the pending ALLOW(1) and the new ALLOW(2); 1 has been told twice then.
    assert_eq!(bench.want(G, include(&[1, 2])), [v3(&[(Allow, G, &[1, 2])])]);
    assert_eq!(bench.hear(seconds(9)), [v3(&[(Allow, G, &[2])])]);
    // One that comes and goes is blocked, since someone may have heard that it came.
    bench.want(G, include(&[1, 2, 3]));
    assert_eq!(bench.want(G, include(&[1, 2])), [v3(&[(Block, G, &[3])])]);
    assert_eq!(bench.hear(seconds(9)), [v3(&[(Block, G, &[3])])]);
}

#[test]
fn a_change_of_the_mode_is_told_as_often_whatever_sources_do() {
    let mut bench = Bench::new(HostMode::Own);
    bench.query(QueryToSend { robustness: 3, ..query() });
    bench.settle();
    bench.want(G, include(&[1]));
    assert_eq!(bench.want(G, exclude(&[])), [v3(&[(ToEx, G, &[])])]);
    // The change of sources was told in two of three reports by the record of the mode, then by its own.
    assert_eq!(bench.want(G, exclude(&[4])), [v3(&[(ToEx, G, &[4])])]);
    assert_eq!(bench.hear(seconds(9)), [v3(&[(ToEx, G, &[4])]), v3(&[(Block, G, &[4])])]);
    // Back at once: the mode has changed again.
    bench.want(G, include(&[4]));
    assert_eq!(bench.want(G, exclude(&[4])), [v3(&[(ToEx, G, &[4])])]);
    assert_eq!(bench.hear(seconds(9)), vec![v3(&[(ToEx, G, &[4])]); 2]);
}

#[test]
fn a_group_that_is_joined_and_left_at_once_is_left_for_everyone() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    assert_eq!(bench.leave(G), [v3(&[(ToIn, G, &[])])]);
    assert_eq!(bench.host.groups(LINK).count(), 1, "kept until that was told again");
    assert_eq!(bench.host.listened_groups(), BTreeSet::new());
    assert_eq!(bench.hear(seconds(9)), [v3(&[(ToIn, G, &[])])]);
    assert_eq!(bench.host.groups(LINK).count(), 0);
    assert_eq!(bench.host.next_timeout(), None);
    // And joined again while that is told.
    bench.want(G, exclude(&[]));
    bench.leave(G);
    assert_eq!(bench.want(G, exclude(&[])), [v3(&[(ToEx, G, &[])])]);
    assert_eq!(bench.hear(seconds(9)), [v3(&[(ToEx, G, &[])])]);
}

#[test]
fn changes_of_many_groups_share_reports_that_fit_the_mtu() {
    let mut bench = Bench::new(HostMode::Own);
    for last in 0..200_u8 {
        bench.wanted.insert(Ipv4Addr::new(239, 2, 0, last), exclude(&[]));
    }
    bench.host.set(bench.now, LINK, &bench.wanted);
    let packets: Vec<_> = std::iter::from_fn(|| bench.host.poll_transmit()).collect();
    assert_eq!(packets.len(), 2, "182 records of 8 bytes fit behind 24 + 8 bytes");
    assert!(packets.iter().all(|transmit| transmit.packet.len() <= 1500));
    let count = |packet: &[u8]| match said(packet) {
        Said::V3(records) => records.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(packets.iter().map(|transmit| count(&transmit.packet)).sum::<usize>(), 200);
    assert_eq!(bench.hear(seconds(9)).len(), 2, "and again");
    // A group more takes a record more, not all of them.
    assert_eq!(bench.want(G, exclude(&[])), [v3(&[(ToEx, G, &[])])]);
}

#[test]
fn after_a_link_flap_all_is_told_as_if_it_were_new() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[7]));
    bench.want(H, include(&[1, 2]));
    bench.settle();
    bench.host.rejoin(bench.now, LINK);
    let all = v3(&[(ToEx, G, &[7]), (Allow, H, &[1, 2])]);
    assert_eq!(bench.said(), std::slice::from_ref(&all));
    assert_eq!(bench.hear(seconds(9)), [all]);
    // Another primary address is another host to the routers.
    let address = Ipv4Addr::new(10, 0, 0, 77);
    let interface = HostInterface {
        addresses: vec![Ipv4Net::new_assert(address, 24)],
        ..Bench::interface(HostMode::Own)
    };
    bench.host.configure(bench.now, LINK, Some(interface));
    bench.us = address;
    assert_eq!(bench.said(), [v3(&[(ToEx, G, &[7]), (Allow, H, &[1, 2])])]);
    // The same again is no change, and neither is another MTU.
    bench.settle();
    let interface = HostInterface {
        addresses: vec![Ipv4Net::new_assert(address, 24)],
        mtu: 1400,
        ..Bench::interface(HostMode::Own)
    };
    bench.host.configure(bench.now, LINK, Some(interface));
    assert_eq!(bench.host.poll_transmit(), None);
}

#[test]
fn v2_13_without_an_address_we_report_from_0_0_0_0() {
    let mut bench = Bench::new(HostMode::Own);
    let interface = HostInterface { addresses: Vec::new(), ..Bench::interface(HostMode::Own) };
    bench.host.configure(bench.now, LINK, Some(interface));
    bench.wanted.insert(G, exclude(&[]));
    bench.host.set(bench.now, LINK, &bench.wanted);
    let transmit = bench.host.poll_transmit().expect("a report");
    assert_eq!(decode(&transmit.packet).expect("valid").source, Ipv4Addr::UNSPECIFIED);
}

#[test]
fn v2_10_link_local_groups_are_let_in_and_never_reported() {
    for version in [IgmpVersion::V1, IgmpVersion::V2, IgmpVersion::V3] {
        let mut bench = Bench::new(HostMode::Forced(version));
        let local = [Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 251)];
        for group in local {
            assert_eq!(bench.want(group, exclude(&[])), []);
        }
        bench.general_query(version);
        assert_eq!(bench.hear(seconds(20)), []);
        let listened: Vec<_> = bench.host.listened_groups().into_iter().collect();
        assert_eq!(listened, local.map(|group| (LINK, group)));
        bench.leave(local[1]);
        assert_eq!(bench.host.listened_groups().len(), 1);
        // The first beyond them is reported.
        assert_eq!(bench.want(Ipv4Addr::new(224, 0, 1, 0), exclude(&[])).len(), 1);
        assert_eq!(bench.want(Ipv4Addr::new(10, 0, 0, 1), exclude(&[])), [], "no group");
    }
}

#[test]
fn where_nothing_is_configured_nothing_is_said() {
    let mut bench = Bench::new(HostMode::Own);
    bench.want(G, exclude(&[]));
    for gone in [None, Some(Bench::interface(HostMode::Kernel))] {
        bench.host.configure(bench.now, LINK, gone);
        assert_eq!(bench.set(), []);
        bench.host.rejoin(bench.now, LINK);
        bench.general_query(IgmpVersion::V3);
        assert_eq!(bench.host.next_timeout(), None);
        assert_eq!((bench.host.view(LINK), bench.host.interfaces().count()), (None, 0));
        bench.configure(HostMode::Own);
        assert_eq!(bench.host.listened_groups(), BTreeSet::new(), "forgotten");
        assert_eq!(bench.set().len(), 1);
        assert_eq!(bench.host.interfaces().collect::<Vec<_>>(), [LINK]);
    }
}
