//! The real core behind the server, with interfaces that exist nowhere else.

use crate::api::server::Exchange;
use crate::control::event::{Event, Refusal, Reply, Request};
use crate::control::layout::Layout;
use crate::control::router::Router;
use crate::control::view::LogLevel;
use crate::types::{IfIndex, Link, LinkLayer, NetEvent, NetSnapshot, Origin, Rule, Time};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

fn link(index: u32, name: &str) -> Link {
    Link {
        index: IfIndex(index),
        name: name.parse().expect("a name"),
        alt_names: vec![],
        up: true,
        carrier: true,
        carrier_losses: 0,
        loopback: false,
        mtu: 1500,
        kind: "veth".into(),
        link_layer: LinkLayer::Ethernet,
        mac: None,
        peer: None,
    }
}

/// A core with `eth0` and `eth1` and these rules of the file; it answers as the daemon does, but
/// waits for no worker.
pub(super) fn start(of_file: Vec<Rule>) -> mpsc::Sender<Exchange> {
    let mut router = Router::new(Time(0), Layout::new(1, None, BTreeMap::new()), 42);
    let links = vec![link(2, "eth0"), link(3, "eth1")];
    let network = NetSnapshot { links, addresses: vec![], routes: vec![] };
    let tier = "syscalls".to_owned();
    for event in [
        Event::WorkerReady { worker: 0, tier, reason: None, notes: Vec::new() },
        Event::Net(NetEvent::Snapshot(network)),
        Event::Rules { origin: Origin::File, set: of_file },
    ] {
        router.handle(Time(0), event).expect("not refused");
    }
    let (to_core, mut requests) = mpsc::channel::<Exchange>(16);
    tokio::spawn(async move {
        while let Some((request, reply)) = requests.recv().await {
            let _ = reply.send(answer(&mut router, request));
            router.settle(Time(0));
            while router.poll_output().is_some() {}
        }
    });
    to_core
}

fn answer(router: &mut Router, request: Request) -> Result<Reply, Refusal> {
    let now = Time(0);
    match request {
        Request::AddRule(ref rule) => {
            if let Some(status) = router.has(rule) {
                return Ok(Reply::Unchanged(Box::new(status)));
            }
            router.handle(now, Event::AddRule(rule.clone()))?;
            router.answer(now, &request)
        }
        Request::RemoveRule(ref key) => {
            let removed = router.answer(now, &request);
            router.handle(now, Event::RemoveRule(key.clone()))?;
            removed
        }
        Request::ReplaceRules(set) => {
            let before = router.rules_of(Some(Origin::Runtime));
            router.check_set(Origin::Runtime, &set)?;
            router.handle(now, Event::Rules { origin: Origin::Runtime, set })?;
            router.settle(now);
            Ok(Reply::Changes(router.changes_since(&before)))
        }
        Request::Upgrade | Request::UpgradeDataPlane => Err(Refusal::NoUpgrade("not here".into())),
        Request::LogLevel | Request::SetLogLevel { .. } => Ok(Reply::LogLevel(LogLevel {
            level: "info".into(),
            modules: [].into(),
            filter: "info".into(),
            set_by: "file".into(),
        })),
        request => router.answer(now, &request),
    }
}
