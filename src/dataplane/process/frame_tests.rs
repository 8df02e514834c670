//! Frames over a real socket pair: what was said is heard, and nothing else does harm.

use super::*;
use crate::dataplane::link::{Ingress, PortId, Settings, WorkerPlan};
use crate::dataplane::process::message::{FromPlane, PROTOCOL, PortSpec, ToPlane};
use crate::fib::counters::PortCounters;
use crate::fib::{
    Action, Builder, CopyOut, Egress, Fib, FibError, OutputSlot, Resolved, RuleSlot, Target,
};
use crate::types::{
    DropReason, Dscp, IfIndex, Limit, LinkLayer, MtuPolicy, Protocol, SourceFilter, Ttl, VlanFilter,
};
use proptest::prelude::*;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("set");
    (ours, theirs)
}

/// Everything that comes until the socket is empty.
fn heard<T: DeserializeOwned>(
    inbox: &mut Inbox<T>,
    socket: &UnixStream,
) -> Result<Vec<(T, Option<OwnedFd>)>, FrameError> {
    let mut all = Vec::new();
    loop {
        while let Some(message) = inbox.take_message()? {
            all.push(message);
        }
        if !inbox.fill(socket.as_fd())? {
            return Ok(all);
        }
    }
}

fn fib(rules: &[(u32, u32, u8, bool)]) -> Fib {
    let mut builder = Builder::default();
    for (slot, (iif, output, group, limited)) in (0..).zip(rules) {
        let limit = Limit { bits_per_second: Some(1000), packets_per_second: None, burst_bytes: 9 };
        let send = crate::fib::Send {
            oif: Some(IfIndex(9)),
            target: Target::UNCHANGED,
            port: Some(7),
            ttl: Ttl::Set(3),
            dscp: Dscp::Keep,
            egress: Egress::Socket { source: None, port: None },
            broadcast: false,
            mtu: Some(1500),
            mtu_policy: MtuPolicy::Fragment,
            limit: limited.then_some(limit),
            burst: None,
        };
        builder.rule(Resolved {
            slot: RuleSlot(slot),
            iif: IfIndex(*iif),
            vlan: VlanFilter::Any,
            groups: vec![std::net::IpAddr::from([239, 1, 1, *group]).into()],
            ports: vec![(5000, 5000 + u16::from(*group))],
            sources: SourceFilter::default(),
            protocol: Protocol::Any,
            link_local: false,
            copies: vec![CopyOut { slot: OutputSlot(*output), action: Action::Send(send) }],
        });
    }
    builder.own_address(IfIndex(1), std::net::IpAddr::from([10, 0, 0, 1]));
    builder.build(7).fib
}

fn messages() -> impl Strategy<Value = ToPlane> {
    let table = prop::collection::vec((1u32..4, 0u32..50, any::<u8>(), any::<bool>()), 0..20);
    let spec = (any::<u32>(), any::<u32>(), any::<[u64; 3]>(), any::<Vec<u8>>(), any::<bool>());
    let spec = spec.prop_map(|(id, iif, [frames, held, kernel_dropped], label, udp)| {
        let mut counters = PortCounters { frames, held, kernel_dropped, ..Default::default() };
        counters.drops.add(DropReason::Runt, frames);
        let local = std::net::SocketAddrV4::new([10, 0, 0, 1].into(), 5000);
        let packet = Ingress::Packet(LinkLayer::Ethernet);
        let ingress = if udp { Ingress::Udp(local) } else { packet };
        PortSpec { id: PortId(id), iif: IfIndex(iif), ingress, counters, label }
    });
    prop_oneof![
        any::<u32>().prop_map(|protocol| ToPlane::Hello { protocol }),
        any::<Option<u32>>().prop_map(|cpu| ToPlane::Start(Settings {
            workers: vec![WorkerPlan { cpu }; 3],
            ..Settings::default()
        })),
        (any::<u32>(), spec).prop_map(|(worker, port)| ToPlane::Open { worker, port }),
        (table, any::<Vec<u32>>()).prop_map(|(rules, resets)| ToPlane::Publish {
            fib: Arc::new(fib(&rules)),
            reset_rules: resets.iter().copied().map(RuleSlot).collect(),
            reset_outputs: resets.into_iter().map(OutputSlot).collect(),
            notes: vec![("a note".into(), Some(vec![1, 2])), ("no note".into(), None)],
        }),
        any::<u64>().prop_map(|token| ToPlane::Keep { token }),
        Just(ToPlane::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_said_is_heard(said in prop::collection::vec((messages(), any::<bool>()), 1..12)) {
        let (ours, theirs) = pair();
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::<ToPlane>::default());
        for (message, with) in &said {
            let file = with.then(|| std::fs::File::open("/dev/null").expect("opens").into());
            outbox.push(message, file).expect("fits");
        }
        let mut all = Vec::new();
        while !outbox.is_empty() {
            outbox.flush(ours.as_fd()).expect("sends");
            all.extend(heard(&mut inbox, &theirs).expect("sound"));
        }
        all.extend(heard(&mut inbox, &theirs).expect("sound"));
        prop_assert_eq!(all.len(), said.len());
        for ((got, descriptor), (message, with)) in all.iter().zip(&said) {
            prop_assert_eq!(descriptor.is_some(), *with);
            match (got, message) {
                (ToPlane::Publish { fib: got, .. }, ToPlane::Publish { fib, .. }) => {
                    prop_assert!(got.forwards_like(fib));
                    prop_assert_eq!(got.limits(), fib.limits());
                    prop_assert!(Fib::clone(got).check().is_ok());
                }
                _ => prop_assert_eq!(format!("{got:?}"), format!("{message:?}")),
            }
        }
        drop(ours);
        prop_assert!(matches!(heard(&mut inbox, &theirs), Err(FrameError::Closed)));
    }

    #[test]
    fn garbage_is_refused_or_waited_for(bytes in any::<Vec<u8>>(), sized in any::<bool>()) {
        let (mut ours, theirs) = pair();
        let mut inbox = Inbox::<ToPlane>::default();
        if sized {
            let len = u32::try_from(bytes.len()).expect("short");
            ours.write_all(&len.to_le_bytes()).expect("writes");
            ours.write_all(&[0]).expect("writes");
        }
        ours.write_all(&bytes).expect("writes");
        drop(ours);
        // No panic, and always an end.
        prop_assert!(matches!(
            heard(&mut inbox, &theirs),
            Err(FrameError::Closed | FrameError::Half | FrameError::Garbage(_))
        ));
    }

    #[test]
    fn a_table_that_was_tampered_with_is_refused_or_harmless(
        rules in prop::collection::vec((1u32..4, 0u32..50, any::<u8>(), any::<bool>()), 1..20),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = postcard::to_stdvec(&fib(&rules)).expect("encodes");
        let at = at.index(bytes.len());
        bytes[at] = value;
        let Ok(changed) = postcard::from_bytes::<Fib>(&bytes) else { return Ok(()) };
        let Ok(sound) = changed.check() else { return Ok(()) };
        // Everything that a worker does with it stays within its arrays.
        for (iif, _, group, _) in &rules {
            for port in [0, 5000, 5100, u16::MAX] {
                let key = crate::fib::FlowKey {
                    iif: IfIndex(*iif),
                    vlan: 0,
                    destination: [239, 1, 1, *group].into(),
                    source: [10, 0, 0, 9].into(),
                    protocol: 17,
                    port,
                };
                if let Ok(entry) = sound.lookup(&key) {
                    prop_assert!(entry.rules.iter().all(|slot| slot.0 < sound.rule_slots()));
                    prop_assert!(entry.copies.iter().all(|c| c.slot.0 < sound.output_slots()));
                }
            }
        }
    }
}

#[test]
fn a_spoilt_table_is_refused() {
    for how in 0..7 {
        let mut table = fib(&[(1, 3, 1, true), (2, 4, 2, false)]);
        let value = if how < 5 { 1000 } else { 0 };
        crate::fib::spoil(&mut table, how, value);
        let outcome: Result<Fib, FibError> = table.check();
        if how == 1 {
            // No rule names a source: there is nothing to spoil.
            assert!(outcome.is_ok());
        } else {
            assert!(outcome.is_err(), "{how}");
        }
    }
}

#[test]
fn lengths_marks_and_descriptors_are_checked() {
    let too_long = u32::try_from(MAX_LEN + 1).expect("fits").to_le_bytes();
    let hello = postcard::to_stdvec(&ToPlane::Hello { protocol: PROTOCOL }).expect("encodes");
    let len = u32::try_from(hello.len()).expect("short").to_le_bytes();
    let cases: [(Vec<u8>, &str); 4] = [
        ([&too_long[..], &[0]].concat(), "a message of"),
        ([&len[..], &[2]].concat(), "mark 2"),
        ([&len[..], &[1], &hello].concat(), "without the descriptor"),
        ([&[3, 0, 0, 0, 0][..], &hello, &[0]].concat(), "too many"),
    ];
    for (bytes, expected) in cases {
        let (mut ours, theirs) = pair();
        ours.write_all(&bytes).expect("writes");
        let error = heard(&mut Inbox::<ToPlane>::default(), &theirs).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Half a frame, and the end.
    let (mut ours, theirs) = pair();
    ours.write_all(&[9, 0, 0, 0, 0, 1]).expect("writes");
    drop(ours);
    let outcome = heard(&mut Inbox::<FromPlane>::default(), &theirs);
    assert!(matches!(outcome, Err(FrameError::Half)));
}

#[test]
fn descriptors_that_nobody_names_are_not_collected() {
    let (ours, theirs) = pair();
    let file = std::fs::File::open("/dev/null").expect("opens");
    let mut inbox = Inbox::<ToPlane>::default();
    let mut failed = false;
    for _ in 0..20 {
        // One byte of a long frame, with as many descriptors as go.
        let many = [file.as_fd(); rights::MAX_DESCRIPTORS];
        rights::send(ours.as_fd(), &[0], &many).expect("sends");
        if inbox.fill(theirs.as_fd()).is_err() {
            failed = true;
            break;
        }
    }
    assert!(failed);
}
