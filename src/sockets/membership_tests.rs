//! Memberships against a real kernel, in namespaces of their own.

use super::*;
use crate::sockets::test_wire::Wire;
use crate::sys::test_namespace::{ip, ip_batch, run};
use std::fs::read_to_string;
use std::time::{Duration, Instant};

/// The main thread's files (/proc/self) would show another namespace.
fn proc_net(file: &str) -> String {
    read_to_string(format!("/proc/thread-self/net/{file}")).expect("readable")
}

fn veth() -> IfIndex {
    ip_batch("link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n");
    index_of("v0")
}

fn index_of(name: &str) -> IfIndex {
    IfIndex(nix::net::if_::if_nametoindex(name).expect("it exists"))
}

fn group(n: usize) -> Ipv4Addr {
    let [_, _, high, low] = u32::try_from(n).expect("small").to_be_bytes();
    Ipv4Addr::new(239, 1, high, low)
}

fn any(index: IfIndex, group: Ipv4Addr) -> Membership {
    Membership { index, group: group.into(), source: None }
}

fn from(index: IfIndex, group: Ipv4Addr, source: usize) -> Membership {
    let [_, b, c, d] = u32::try_from(source).expect("small").to_be_bytes();
    Membership { index, group: group.into(), source: Some(Ipv4Addr::new(10, b, c, d).into()) }
}

/// The groups of an interface that the kernel has joined: `/proc/net/igmp` in hexadecimal.
fn kernel_has(group: Ipv4Addr) -> bool {
    let [a, b, c, d] = group.octets();
    proc_net("igmp").contains(&format!("{d:02X}{c:02X}{b:02X}{a:02X}"))
}

fn filter_lines(group: Ipv4Addr, mode: &str) -> usize {
    let group = format!("0x{:08x}", u32::from(group));
    proc_net("mcfilter").lines().filter(|l| l.contains(&group) && l.contains(mode)).count()
}

/// Sources included minus nothing: lines of `mcfilter` whose INC count is not zero.
fn included(group: Ipv4Addr) -> usize {
    let text = format!("0x{:08x}", u32::from(group));
    proc_net("mcfilter")
        .lines()
        .filter(|line| line.contains(&text))
        .filter(|line| line.split_whitespace().nth(4).is_some_and(|inc| inc != "0"))
        .count()
}

fn set(memberships: &mut Memberships, wanted: impl IntoIterator<Item = Membership>) {
    let wanted: BTreeSet<Membership> = wanted.into_iter().collect();
    let failed = memberships.set(&wanted);
    assert!(failed.is_empty(), "{failed:?}");
    assert!(memberships.joined().eq(wanted.iter().copied()));
}

#[test]
fn five_hundred_groups_reach_the_interface_and_leave_it() {
    run(|| {
        let index = veth();
        let mut memberships = Memberships::new();
        set(&mut memberships, (0..500).map(|n| any(index, group(n))));
        assert_eq!(memberships.shards.len(), 25);
        let (igmp, macs) = (proc_net("igmp"), proc_net("dev_mcast"));
        for n in 0..500 {
            let [_, b, c, d] = group(n).octets();
            assert!(igmp.contains(&format!("{d:02X}{c:02X}{b:02X}EF")), "{}", group(n));
            assert!(macs.contains(&format!("01005e{:02x}{c:02x}{d:02x}", b & 0x7f)));
        }
        set(&mut memberships, (0..500).filter(|n| n % 7 == 0).map(|n| any(index, group(n))));
        for n in 0..500 {
            assert_eq!(kernel_has(group(n)), n % 7 == 0, "{}", group(n));
        }
        // The holes are filled before sockets are opened.
        set(&mut memberships, (0..500).map(|n| any(index, group(n))));
        assert_eq!(memberships.shards.len(), 25);
        set(&mut memberships, []);
        assert_eq!(memberships.shards.len(), 0);
        assert!((0..500).all(|n| !kernel_has(group(n))));
    });
}

#[test]
fn the_loopback_interface_is_joined_like_any_other() {
    run(|| {
        crate::sys::test_namespace::ip("link set lo up");
        let lo = IfIndex(1);
        let mut memberships = Memberships::new();
        set(&mut memberships, [any(lo, group(1)), from(lo, group(2), 9)]);
        assert!(kernel_has(group(1)) && kernel_has(group(2)));
        set(&mut memberships, []);
        assert!(!kernel_has(group(1)) && !kernel_has(group(2)));
    });
}

#[test]
fn three_hundred_sources_of_one_group() {
    run(|| {
        let index = veth();
        let ssm = Ipv4Addr::new(232, 1, 1, 1);
        let mut memberships = Memberships::new();
        set(&mut memberships, (1..=300).map(|n| from(index, ssm, n)));
        assert_eq!(included(ssm), 300, "{}", proc_net("mcfilter"));
        set(&mut memberships, (1..=300).filter(|n| n % 3 == 0).map(|n| from(index, ssm, n)));
        assert_eq!(included(ssm), 100);
        set(&mut memberships, (1..=300).map(|n| from(index, ssm, n)));
        assert_eq!((included(ssm), memberships.shards.len()), (300, 30));
        set(&mut memberships, []);
        assert_eq!((filter_lines(ssm, "0x"), kernel_has(ssm)), (0, false));
        assert!(memberships.listed.is_empty() && memberships.room_listed.is_empty());
    });
}

#[test]
fn every_source_and_one_source_at_once() {
    run(|| {
        let index = veth();
        let both = group(1);
        let mut memberships = Memberships::new();
        set(&mut memberships, [any(index, both), from(index, both, 9)]);
        assert!(kernel_has(both));
        assert_eq!(memberships.shards.len(), 2);
        set(&mut memberships, [from(index, both, 9)]);
        assert_eq!((kernel_has(both), included(both)), (true, 1));
        set(&mut memberships, [any(index, both)]);
        assert_eq!((kernel_has(both), included(both)), (true, 0));
    });
}

#[test]
fn an_interface_returns_with_another_index() {
    run(|| {
        let sockets = || {
            let fds = std::fs::read_dir("/proc/self/fd").expect("readable");
            fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
                .filter(|target| target.to_string_lossy().starts_with("socket:"))
                .map(|target| target.to_string_lossy().into_owned())
                .collect::<BTreeSet<String>>()
        };
        let mut index = veth();
        let mut memberships = Memberships::new();
        for round in 0..5 {
            // `mcfilter` shows nothing of an interface whose newest group has no source list:
            // this one sorts, and so is joined, last.
            let ssm = Ipv4Addr::new(239, 200, 1, 1);
            let wanted = (0..50).map(|n| any(index, group(n)));
            set(&mut memberships, wanted.chain((1..=25).map(|n| from(index, ssm, n))));
            assert!(kernel_has(group(49)), "round {round}: {}", proc_net("igmp"));
            assert_eq!(included(ssm), 25, "round {round}: {}", proc_net("mcfilter"));
            let ours: Vec<String> = memberships
                .shards
                .iter()
                .map(|(_, shard)| {
                    let fd = std::os::fd::AsRawFd::as_raw_fd(&shard.socket);
                    let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).expect("open");
                    link.to_string_lossy().into_owned()
                })
                .collect();
            assert_eq!(ours.len(), 3 + 3, "round {round}");
            ip("link del v0");
            memberships.interface_gone(index);
            assert_eq!(memberships.joined().count(), 0);
            let open = sockets();
            assert!(ours.iter().all(|socket| !open.contains(socket)), "a socket leaked");
            let old = index;
            index = veth();
            assert_ne!(old, index);
        }
    });
}

#[test]
fn places_of_a_gone_interface_are_free_again() {
    run(|| {
        let (gone, stays) = (veth(), index_of("lo"));
        ip("link set lo up");
        let mut memberships = Memberships::new();
        let on_both = |n| [any(gone, group(n)), any(stays, group(n))];
        set(&mut memberships, (0..10).flat_map(on_both));
        assert_eq!(memberships.shards.len(), 1);
        ip("link del v0");
        memberships.interface_gone(gone);
        // Ten of twenty places are free: the kernel agrees only if they were left.
        set(&mut memberships, (0..20).map(|n| any(stays, group(n))));
        assert_eq!(memberships.shards.len(), 1);
    });
}

#[test]
fn smaller_limits_need_more_sockets_only() {
    run(|| {
        let index = veth();
        std::fs::write("/proc/sys/net/ipv4/igmp_max_memberships", "3").expect("writable");
        let mut memberships = Memberships::new();
        set(&mut memberships, (0..100).map(|n| any(index, group(n))));
        assert_eq!(memberships.shards.len(), 34);
        assert!((0..100).all(|n| kernel_has(group(n))));
        set(&mut memberships, (0..100).map(|n| any(index, group(n))).skip(1));
        set(&mut memberships, (0..100).map(|n| any(index, group(n))));
        assert_eq!(memberships.shards.len(), 34);
    });
}

#[test]
fn refusals_say_what_would_help() {
    run(|| {
        let index = veth();
        let mut memberships = Memberships::new();
        let v6 = Membership { index, group: "ff15::1".parse().expect("an address"), source: None };
        let nowhere = any(IfIndex(9999), group(1));
        let unicast = any(index, Ipv4Addr::new(10, 0, 0, 1));
        let good = any(index, group(1));
        let wanted = BTreeSet::from([v6, nowhere, unicast, good]);
        let failed: BTreeMap<_, _> = memberships.set(&wanted).into_iter().collect();
        assert!(memberships.joined().eq([good]));
        assert_eq!(failed[&v6].kind(), io::ErrorKind::Unsupported);
        assert!(failed[&nowhere].to_string().contains("9999"), "{}", failed[&nowhere]);
        assert!(failed[&unicast].to_string().contains("multicast"), "{}", failed[&unicast]);
        assert_eq!(memberships.shards.len(), 1, "failures hold no sockets");
        assert!(
            explain_socket(io::Error::from_raw_os_error(libc::EMFILE))
                .to_string()
                .contains("ulimit -n")
        );
        let full = explain(io::Error::from_raw_os_error(libc::ENOBUFS), (index, group(1)));
        assert!(full.to_string().contains("net.ipv4.igmp_max_memberships"), "{full}");
    });
}

#[test]
fn works_on_an_interface_that_is_down_and_has_no_address() {
    run(|| {
        ip("link add v0 type veth peer name v1");
        let mut memberships = Memberships::new();
        set(&mut memberships, [any(index_of("v0"), group(1))]);
        ip("link set v0 up");
        assert!(kernel_has(group(1)));
    });
}

#[test]
fn ten_thousand_memberships_take_no_quadratic_time() {
    run(|| {
        let index = veth();
        let mut memberships = Memberships::new();
        let wanted: BTreeSet<Membership> = (0..10_000).map(|n| any(index, group(n))).collect();
        let start = Instant::now();
        let failed = memberships.set(&wanted);
        let joined = start.elapsed();
        assert!(failed.is_empty(), "{:?}", failed.first());
        memberships.set(&BTreeSet::new());
        let left = start.elapsed().checked_sub(joined).expect("time goes on");
        println!("10,000 memberships: joined in {joined:?}, left in {left:?}");
        // Generous: the machine may be busy, and the kernel's own lists are linear.
        assert!(joined < Duration::from_secs(20), "{joined:?}");
    });
}

#[test]
fn what_is_joined_again_is_reported_again() {
    run(|| {
        let here = veth();
        ip("link set lo up");
        let lo = index_of("lo");
        let mut memberships = Memberships::new();
        // Joined last, or `mcfilter` would not show it.
        let ssm = Ipv4Addr::new(239, 200, 1, 1);
        let all = (0..30).map(|n| any(here, group(n))).chain((1..=15).map(|n| from(here, ssm, n)));
        let all: BTreeSet<Membership> = all.chain([any(lo, group(1))]).collect();
        set(&mut memberships, all.iter().copied());
        let wire = Wire::at(index_of("v1"));
        memberships.rejoin(here);
        assert!(memberships.joined().eq(all.iter().copied()));
        assert!((0..30).all(|n| kernel_has(group(n))));
        assert_eq!((included(ssm), memberships.shards.len()), (15, 4));
        // Each group in a record of a version 3 report (RFC 9776 section 4.2), the last one too.
        let mut missing: BTreeSet<Ipv4Addr> = (0..30).map(group).chain([ssm]).collect();
        wire.wait_for("a report of each", |frame| {
            if frame.get(14 + 9) == Some(&2) {
                for w in frame[14 + 24..].windows(4) {
                    missing.remove(&Ipv4Addr::new(w[0], w[1], w[2], w[3]));
                }
            }
            missing.is_empty()
        });
        // What cannot be joined again is no longer held.
        ip("link del v0");
        memberships.rejoin(here);
        assert!(memberships.joined().eq([any(lo, group(1))]));
        assert_eq!(memberships.shards.len(), 1);
    });
}
