//! What comes in, and what hardware is asked to let in.

use super::*;

/// Only what is sent last is wanted: frames of a veth come in order.
#[test]
fn reports_to_any_group_come_and_nothing_else_does() {
    run_async(|| async {
        let (here, there) = veth();
        ip("addr add 10.7.0.1/24 dev here");
        let mut listeners = listening(&[here]);
        let (frames, sender) = (Frames::new(), Sender::new().expect("opens"));
        let tag = |vlan: u16| {
            let mut tag = ethernet::VLAN.to_be_bytes().to_vec();
            tag.extend(vlan.to_be_bytes());
            tag
        };
        let marked = |n: u8| {
            let group = Ipv4Addr::new(239, 9, 9, n);
            (ethernet::of_group(group), report(group))
        };
        // UDP, what is for another host, what is tagged for a VLAN, within another tag too, and what we send.
        frames.send_to_group(there, GROUP, &packet_of(17, PEER, GROUP, &[0; 8]));
        frames.send(there, [2, 0, 0, 0, 9, 9], &[], &marked(1).1);
        frames.send(there, marked(2).0, &tag(310), &marked(2).1);
        frames.send(there, marked(3).0, &[tag(0), tag(310)].concat(), &marked(3).1);
        let query = packet_of(IGMP, OURS, ALL_HOSTS, &message(QUERY, 100, Ipv4Addr::UNSPECIFIED));
        sender.send(&Transmit { index: here, packet: query }).expect("sends");
        let unset = packet_of(IGMP, Ipv4Addr::UNSPECIFIED, GROUP, &message(V2_REPORT, 0, GROUP));
        sender.send(&Transmit { index: here, packet: unset }).expect("sends");
        // No group was joined; a tag may give a priority only.
        for between in [vec![], tag(0), tag(0xe000)] {
            frames.send(there, ethernet::of_group(GROUP), &between, &report(GROUP));
            assert_eq!(next(&mut listeners).await, (here, report(GROUP)), "{between:?}");
        }
        // To the host itself, and to all.
        let mac = std::fs::read_to_string("/sys/class/net/here/address");
        let to_us = mac.ok().and_then(|text| {
            let bytes = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
            bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
        });
        for to in to_us.into_iter().chain([ethernet::BROADCAST]) {
            frames.send(there, to, &[], &report(GROUP));
            assert_eq!(next(&mut listeners).await.1, report(GROUP), "{to:?}");
        }
        assert_eq!(listeners.try_next(), None);
        assert_eq!(listeners.take_lost(), []);
    });
}

#[test]
fn ports_of_a_bridge_are_listened_to() {
    run_async(|| async {
        let (here, there) = veth();
        ip_batch(
            "link add bridge0 type bridge\nlink set bridge0 up\nlink set here master bridge0\n",
        );
        let mut listeners = listening(&[here]);
        Frames::new().send_to_group(there, GROUP, &report(GROUP));
        assert_eq!(next(&mut listeners).await, (here, report(GROUP)));
    });
}

#[test]
fn a_flood_on_one_interface_does_not_delay_another_and_what_is_lost_is_counted() {
    run_async(|| async {
        let (here, there) = veth();
        ip_batch("link add h2 type veth peer name t2\nlink set h2 up\nlink set t2 up\n");
        let (other, other_end) = (index_of("h2"), index_of("t2"));
        let mut listeners = listening(&[here, other]);
        let frames = Frames::new();
        const FLOOD: u64 = 20_000;
        for _ in 0..FLOOD {
            frames.send_to_group(there, GROUP, &report(GROUP));
        }
        let two = Ipv4Addr::new(239, 2, 2, 2);
        frames.send_to_group(other_end, two, &report(two));
        let mut before = 0;
        loop {
            let (index, packet) = next(&mut listeners).await;
            if index == other {
                // Of its own IGMP the kernel says something too, maybe.
                if packet == report(two) {
                    break;
                }
            } else {
                before += 1;
            }
        }
        assert!(before < 10, "{before} packets of the flood came first");
        let mut came = before;
        while let Some((index, _)) = listeners.try_next() {
            came += u64::from(index == here);
        }
        let lost = listeners.take_lost();
        assert_eq!(lost.len(), 1, "{lost:?}");
        let (index, LinkDrops { by_kernel, too_long }) = lost[0];
        assert_eq!((index, too_long), (here, 0));
        assert!(by_kernel > 0 && came > 1000, "{came} came, {by_kernel} were lost");
        assert_eq!(came + by_kernel, FLOOD);
        assert_eq!(listeners.take_lost(), []);
    });
}

#[test]
fn what_is_too_long_is_dropped_and_counted() {
    run_async(|| async {
        let (here, there) = veth();
        ip_batch("link set here mtu 20000\nlink set there mtu 20000\n");
        let mut listeners = listening(&[here]);
        let frames = Frames::new();
        let long = |len: usize| packet_of(IGMP, PEER, GROUP, &vec![7; len - 24]);
        for len in [MAX_PACKET, MAX_PACKET + 1, 15_000, 60] {
            frames.send_to_group(there, GROUP, &long(len));
        }
        assert_eq!(next(&mut listeners).await.1, long(MAX_PACKET));
        assert_eq!(next(&mut listeners).await.1, long(60));
        assert_eq!(listeners.take_lost(), [(here, LinkDrops { by_kernel: 0, too_long: 2 })]);
    });
}

#[test]
fn an_interface_that_vanishes_is_told_and_listened_to_again() {
    run_async(|| async {
        let (here, there) = veth();
        let mut listeners = listening(&[here]);
        assert_eq!(listeners.unbound(), BTreeSet::new());
        // Down and up again is not gone.
        ip("link set here down");
        assert_eq!((listeners.try_next(), listeners.unbound()), (None, BTreeSet::new()));
        ip("link set here up");
        Frames::new().send_to_group(there, GROUP, &report(GROUP));
        assert_eq!(next(&mut listeners).await.1, report(GROUP));
        ip("link del here");
        assert_eq!(listeners.unbound(), [here].into());
        assert_eq!(listeners.try_next(), None);
        assert_eq!(listeners.unbound(), [here].into(), "known, though its socket is closed");
        let wanted = BTreeSet::from([here]);
        let failed = listeners.set(&wanted);
        assert_eq!((failed.len(), failed[0].0), (1, here));
        assert!(failed[0].1.to_string().starts_with("listening to IGMP"), "{}", failed[0].1);
        ip(&format!("link add here index {here} type veth peer name there"));
        ip_batch("link set here up\nlink set there up\n");
        assert!(listeners.set(&wanted).is_empty());
        assert_eq!(listeners.unbound(), BTreeSet::new());
        Frames::new().send_to_group(index_of("there"), GROUP, &report(GROUP));
        while next(&mut listeners).await.1 != report(GROUP) {}
        listeners.interface_gone(here);
        assert_eq!((listeners.unbound(), listeners.set(&wanted).len()), (BTreeSet::new(), 0));
        assert!(listeners.set(&BTreeSet::new()).is_empty());
        Frames::new().send_to_group(index_of("there"), GROUP, &report(GROUP));
        assert_eq!(listeners.try_next(), None);
    });
}

/// True where the interface lets frames to a group's MAC address in.
fn lets_in(name: &str, group: Ipv4Addr) -> bool {
    let mac: String = ethernet::of_group(group).iter().map(|byte| format!("{byte:02x}")).collect();
    let all = std::fs::read_to_string("/proc/thread-self/net/dev_mcast").expect("readable");
    all.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.nth(1) == Some(name) && words.any(|word| word == mac)
    })
}

#[test]
fn hardware_lets_in_what_is_wanted() {
    run(|| {
        let (here, there) = veth();
        // These two share their MAC address.
        let twin = Ipv4Addr::new(238, 7, 7, 7);
        let other = Ipv4Addr::new(239, 8, 8, 8);
        let mut groups = HardwareGroups::default();
        let mut set = |wanted: &[(IfIndex, Ipv4Addr)]| {
            let failed = groups.set(&wanted.iter().copied().collect());
            assert!(failed.is_empty(), "{failed:?}");
        };
        set(&[(here, GROUP), (here, twin), (there, other)]);
        assert!(lets_in("here", GROUP) && lets_in("there", other) && !lets_in("here", other));
        set(&[(here, twin)]);
        assert!(lets_in("here", GROUP) && !lets_in("there", other));
        set(&[]);
        assert!(!lets_in("here", GROUP));
        set(&[(here, GROUP)]);
        ip("link del here");
        ip(&format!("link add here index {here} type veth peer name there"));
        assert!(!lets_in("here", GROUP));
        groups.interface_gone(here);
        let wanted = BTreeSet::from([(here, GROUP), (IfIndex(9999), GROUP)]);
        let failed = groups.set(&wanted);
        assert_eq!((failed.len(), failed[0].0), (1, (IfIndex(9999), GROUP)));
        assert!(lets_in("here", GROUP));
        drop(groups);
        assert!(!lets_in("here", GROUP));
    });
}

#[test]
fn a_tunnel_has_no_hardware_and_is_listened_to() {
    run_async(|| async {
        ip_batch("tuntap add mode tun name tun0\nlink set tun0 up\n");
        let tun = index_of("tun0");
        assert!(HardwareGroups::default().set(&[(tun, GROUP)].into()).is_empty());
        assert_eq!(listening(&[tun]).unbound(), BTreeSet::new());
    });
}
