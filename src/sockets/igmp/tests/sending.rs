//! What goes out.

use super::*;

#[test]
fn what_has_a_source_is_on_the_wire_as_it_was_made() {
    run(|| {
        let (here, there) = veth();
        ip("addr add 10.7.0.1/24 dev here");
        let (wire, sender) = (Wire::at(there), Sender::new().expect("opens"));
        // The group is routed elsewhere, and the source is not the interface's: both are the caller's business.
        for source in [OURS, Ipv4Addr::new(192, 0, 2, 9)] {
            let packet = packet_of(IGMP, source, GROUP, &message(QUERY, 10, GROUP));
            sender.send(&Transmit { index: here, packet: packet.clone() }).expect("sends");
            let frame = wire.igmp("the query", QUERY, GROUP);
            assert_eq!(frame[..6], ethernet::of_group(GROUP));
            assert_eq!(frame[14..], packet, "from {source}");
            assert_eq!((frame[14 + 8], &frame[14 + 20..14 + 24]), (1, &[0x94, 4, 0, 0][..]));
        }
    });
}

#[test]
fn what_has_no_source_has_none_on_the_wire() {
    run(|| {
        let (here, there) = veth();
        ip("addr add 10.7.0.1/24 dev here");
        let (wire, sender) = (Wire::at(there), Sender::new().expect("opens"));
        let none = Ipv4Addr::UNSPECIFIED;
        let packet = packet_of(IGMP, none, ALL_HOSTS, &message(QUERY, 10, none));
        sender.send(&Transmit { index: here, packet: packet.clone() }).expect("sends");
        let frame = wire.igmp("the query", QUERY, ALL_HOSTS);
        assert_eq!(frame[..6], ethernet::of_group(ALL_HOSTS));
        assert_eq!(frame[14..], packet);
    });
}

/// The kernel has joined the group, from all sources or from one, and answers a query of ours about `asked`, 0.0.0.0
/// for all groups. By version 2: what the kernel says by itself is of version 3.
fn kernel_answers(source: Option<Ipv4Addr>, to: Ipv4Addr, asked: Ipv4Addr) {
    run(|| {
        let (here, there) = veth();
        ip("addr add 10.7.0.1/24 dev here");
        let mut memberships = Memberships::new();
        let source = source.map(Into::into);
        let wanted = [Membership { index: here, group: GROUP.into(), source }];
        assert!(memberships.set(&wanted.into()).is_empty());
        let (wire, sender) = (Wire::at(there), Sender::new().expect("opens"));
        let packet = packet_of(IGMP, OURS, to, &message(QUERY, 2, asked));
        sender.send(&Transmit { index: here, packet }).expect("sends");
        wire.igmp("the kernel's answer", V2_REPORT, GROUP);
    });
}

#[test]
fn the_kernel_answers_our_query_for_what_it_has_joined() {
    kernel_answers(None, ALL_HOSTS, Ipv4Addr::UNSPECIFIED);
}

/// The kernel asks its source filters whether it has joined what a packet goes to.
#[test]
fn the_kernel_answers_a_query_for_a_group_that_it_wants_of_another_source() {
    kernel_answers(Some(Ipv4Addr::new(10, 9, 9, 9)), GROUP, GROUP);
}

#[test]
fn what_cannot_be_sent_is_told() {
    run(|| {
        let (here, _there) = veth();
        let sender = Sender::new().expect("opens");
        let errno = |index, packet: Vec<u8>| {
            let error = sender.send(&Transmit { index, packet }).expect_err("cannot be sent");
            (error.kind(), error.raw_os_error())
        };
        let query = |from| packet_of(IGMP, from, GROUP, &message(QUERY, 10, GROUP));
        let (ours, unset) = (query(OURS), query(Ipv4Addr::UNSPECIFIED));
        let nowhere = IfIndex(9999);
        assert_eq!(errno(nowhere, ours.clone()).1, Some(libc::ENODEV));
        assert_eq!(errno(nowhere, unset.clone()).1, Some(libc::ENXIO));
        let wrong = (io::ErrorKind::InvalidInput, None);
        assert_eq!(errno(here, packet_of(IGMP, OURS, PEER, &[0; 8])), wrong);
        assert_eq!(errno(here, ours[..20].to_vec()), wrong);
        assert_eq!(errno(here, [&ours[..], &[0]].concat()), wrong);
        assert_eq!(errno(here, Vec::new()), wrong);
        assert_eq!(errno(IfIndex(u32::MAX), unset.clone()).1, Some(libc::ENXIO));
        assert_ne!(errno(IfIndex(u32::MAX), ours.clone()).0, io::ErrorKind::InvalidInput);
        ip("link set here down");
        assert_eq!(errno(here, unset).1, Some(libc::ENETDOWN));
        assert_eq!(errno(here, ours).1, Some(libc::ENETUNREACH));
    });
}
