//! The monitor against a real kernel, in namespaces of its own.

use super::Monitor;
use super::channel::ReceiveBuffer;
use super::picture::Picture;
use crate::sys::test_namespace::{ip, ip_batch, run_async};
use crate::types::{Link, NetEvent, NetSnapshot};
use std::time::Duration;

/// A consumer: knows what the events told it, by their plain meaning only.
struct Consumer {
    monitor: Monitor,
    seen: NetSnapshot,
    snapshots: u32,
}

impl Consumer {
    async fn start(receive_buffer: ReceiveBuffer) -> Self {
        let monitor = Monitor::start_with(receive_buffer).expect("a monitor");
        let mut consumer = Self { monitor, seen: NetSnapshot::default(), snapshots: 0 };
        let first = consumer.step().await;
        assert!(matches!(first, NetEvent::Snapshot(_)), "{first:?} before the first snapshot");
        consumer
    }

    async fn step(&mut self) -> NetEvent {
        let event = tokio::time::timeout(Duration::from_secs(10), self.monitor.next())
            .await
            .unwrap_or_else(|_| panic!("no event in time; seen: {:#?}", self.seen));
        let seen = &mut self.seen;
        match event.clone() {
            NetEvent::Snapshot(snapshot) => {
                *seen = snapshot;
                self.snapshots += 1;
            }
            NetEvent::Link(link) => {
                seen.links.retain(|other| other.index != link.index);
                seen.links.push(link);
            }
            NetEvent::LinkGone(index) => seen.links.retain(|link| link.index != index),
            NetEvent::Address(address) => seen.addresses.push(address),
            NetEvent::AddressGone(address) => seen.addresses.retain(|other| *other != address),
            NetEvent::Route(route) => seen.routes.push(route),
            NetEvent::RouteGone(route) => seen.routes.retain(|other| *other != route),
        }
        seen.links.sort_by_key(|link| link.index);
        seen.addresses.sort();
        seen.routes.sort();
        event
    }

    /// Follows events until the condition holds.
    async fn until(&mut self, condition: impl Fn(&NetSnapshot) -> bool) {
        while !condition(&self.seen) {
            self.step().await;
        }
    }

    /// Follows events until what was told equals what a fresh dump says. Fails when events have
    /// ceased, the dump stays the same, and still it differs.
    async fn until_true(&mut self) {
        let mut truth = dumped().await;
        while self.seen != truth {
            if tokio::time::timeout(Duration::from_secs(1), self.step()).await.is_err() {
                let again = dumped().await;
                assert_ne!(again, truth, "this is true, and what was told is: {:#?}", self.seen);
                truth = again;
            }
        }
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.seen.links.iter().find(|link| link.name.as_str() == name)
    }
}

async fn dumped() -> NetSnapshot {
    let mut monitor = Monitor::start().expect("a monitor");
    match monitor.next().await {
        NetEvent::Snapshot(snapshot) => snapshot,
        other => panic!("{other:?} before the first snapshot"),
    }
}

fn link<'a>(snapshot: &'a NetSnapshot, name: &str) -> Option<&'a Link> {
    snapshot.links.iter().find(|link| link.name.as_str() == name)
}

#[test]
fn an_interface_lives_and_dies() {
    run_async(|| async {
        let mut consumer = Consumer::start(ReceiveBuffer::Ample).await;
        let lo = consumer.link("lo").expect("lo").clone();
        assert!(lo.loopback && !lo.up && lo.mtu == 65536);

        ip("link add v0 type veth peer name v1");
        consumer.until(|s| link(s, "v0").is_some() && link(s, "v1").is_some()).await;
        let v0 = consumer.link("v0").expect("v0").clone();
        assert!(!v0.up && v0.kind == "veth" && v0.mac.is_some() && v0.mtu == 1500, "{v0:?}");

        ip("link set v0 up");
        consumer.until(|s| link(s, "v0").is_some_and(|l| l.up && !l.carrier)).await;
        ip("link set v1 up");
        consumer.until(|s| link(s, "v0").is_some_and(|l| l.up && l.carrier)).await;
        ip("address add 10.1.1.1/24 dev v0");
        consumer.until(|s| s.addresses.iter().any(|a| a.net.to_string() == "10.1.1.1/24")).await;
        consumer.until(|s| s.routes.iter().any(|r| r.net.to_string() == "10.1.1.0/24")).await;

        ip("link property add dev v0 altname studio-a");
        consumer.until(|s| link(s, "v0").is_some_and(|l| l.alt_names == ["studio-a"])).await;
        ip("link set v0 down");
        consumer.until(|s| link(s, "v0").is_some_and(|l| !l.up)).await;
        ip("link set v0 name cam");
        consumer.until(|s| link(s, "cam").is_some_and(|l| l.index == v0.index)).await;
        ip("link set cam mtu 9000");
        consumer.until(|s| link(s, "cam").is_some_and(|l| l.mtu == 9000)).await;
        assert!(!consumer.seen.routes.iter().any(|r| r.net.to_string() == "10.1.1.0/24"));

        ip("link del cam");
        consumer.until(|s| link(s, "cam").is_none() && link(s, "v1").is_none()).await;
        consumer.until(|s| s.addresses.is_empty()).await;
        ip("link add v0 type veth peer name v1");
        consumer.until(|s| link(s, "v0").is_some_and(|l| l.index != v0.index)).await;
        consumer.until_true().await;
        assert_eq!(consumer.snapshots, 1, "nothing was lost on the way");
    });
}

#[test]
fn a_port_that_leaves_its_bridge_stays() {
    run_async(|| async {
        ip("link add br0 type bridge");
        ip("link add v0 type veth peer name v1");
        ip("link set v0 master br0 up");
        let mut consumer = Consumer::start(ReceiveBuffer::Ample).await;
        ip("link set v0 nomaster");
        ip("link set v0 mtu 1400");
        let index = consumer.link("v0").expect("v0").index;
        while consumer.link("v0").is_some_and(|l| l.mtu != 1400) {
            let event = consumer.step().await;
            assert_ne!(event, NetEvent::LinkGone(index));
        }
        consumer.until_true().await;
        assert!(consumer.link("v0").is_some());
    });
}

#[test]
fn what_the_kernel_leaves_unsaid_is_said() {
    run_async(|| async {
        ip_batch(
            "link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n\
             address add 10.1.1.1/24 dev v0\naddress add 10.1.2.1/24 dev v0\n",
        );
        let mut consumer = Consumer::start(ReceiveBuffer::Ample).await;
        let routes = "route add 10.9.0.0/16 via 10.1.1.2\nroute add 10.8.0.0/16 dev v0\n\
                      route add 10.7.0.0/16 dev v0 src 10.1.2.1\nroute add blackhole 10.5.0.0/16\n";
        ip_batch(routes);
        consumer.until_true().await;
        let has = |consumer: &Consumer, net: &str| {
            consumer.seen.routes.iter().any(|route| route.net.to_string() == net)
        };
        assert!(has(&consumer, "10.9.0.0/16") && has(&consumer, "10.5.0.0/16"));
        ip("route replace 10.9.0.0/16 via 10.1.1.3");
        consumer.until_true().await;
        ip("address del 10.1.2.1/24 dev v0");
        consumer.until_true().await;
        assert!(!has(&consumer, "10.7.0.0/16") && has(&consumer, "10.9.0.0/16"));
        ip("link set v0 down");
        consumer.until_true().await;
        assert!(!has(&consumer, "10.9.0.0/16") && has(&consumer, "10.1.1.1/32"));
        ip("link set v0 up");
        ip_batch("route add 10.9.0.0/16 via 10.1.1.2\n");
        consumer.until_true().await;
        ip("address del 10.1.1.1/24 dev v0");
        consumer.until_true().await;
        assert!(!has(&consumer, "10.9.0.0/16") && has(&consumer, "10.5.0.0/16"));
        assert_eq!(consumer.snapshots, 1, "nothing was listed again");

        ip_batch(
            "address add 10.1.1.1/24 dev v0\nroute add 10.6.0.0/16 nexthop dev v0 nexthop via 10.1.1.2\n",
        );
        consumer.until_true().await;
        ip("link set v0 down");
        consumer.until_true().await;
        assert!(!has(&consumer, "10.6.0.0/16"));
    });
}

#[test]
fn an_overflow_ends_in_a_true_snapshot() {
    run_async(|| async {
        ip_batch("link add v0 type veth peer name v1\nlink set v0 up\n");
        let mut consumer = Consumer::start(ReceiveBuffer::Tiny(4096)).await;
        let mut lines = String::new();
        for n in 0..1400 {
            let address = format!("10.{}.{}.1/24 dev v0\n", 1 + n / 250, n % 250);
            lines += &format!("address add {address}");
            if n % 2 == 0 {
                lines += &format!("address del {address}");
            }
        }
        ip_batch(&lines);
        consumer.until_true().await;
        assert!(consumer.snapshots > 1, "the buffer never overflowed");
        let v4 = consumer.seen.addresses.iter().filter(|a| a.net.addr().is_ipv4()).count();
        assert_eq!(v4, 700);
    });
}

#[test]
fn changes_during_the_dumps_are_in_the_snapshot_or_follow_it() {
    run_async(|| async {
        ip_batch("link add v0 type veth peer name v1\nlink set v0 up\n");
        let mut lines = String::new();
        for n in 0..600 {
            lines += &format!("address add 10.{}.{}.1/24 dev v0\n", 1 + n / 250, n % 250);
        }
        for n in (0..600).step_by(3) {
            lines += &format!("address del 10.{}.{}.1/24 dev v0\n", 1 + n / 250, n % 250);
        }
        // The writer runs in this namespace, too: `ip` is a child of this thread.
        let mut writer = std::process::Command::new("ip")
            .args(["-batch", "-"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("ip runs");
        let mut input = writer.stdin.take().expect("piped");
        let feeder = std::thread::spawn(move || {
            std::io::Write::write_all(&mut input, lines.as_bytes()).expect("ip reads");
        });
        let mut consumers = Vec::new();
        while writer.try_wait().expect("ip is ours").is_none() {
            consumers.push(Consumer::start(ReceiveBuffer::Ample).await);
        }
        feeder.join().expect("fed");
        assert!(!consumers.is_empty());
        // Where there are very many, some from the whole time suffice.
        let stride = consumers.len().div_ceil(20);
        for mut consumer in consumers.into_iter().step_by(stride) {
            consumer.until_true().await;
            assert_eq!(consumer.snapshots, 1);
        }
    });
}

#[test]
fn a_picture_tells_changes_once() {
    let mut picture = Picture::default();
    let mut events = Vec::new();
    let address = crate::types::Address {
        index: crate::types::IfIndex(3),
        net: "10.0.0.1/24".parse().expect("a prefix"),
    };
    for event in [
        NetEvent::Address(address),
        NetEvent::Address(address),
        NetEvent::AddressGone(address),
        NetEvent::AddressGone(address),
    ] {
        let change = super::decode::Change {
            event,
            replace: false,
            detail: super::decode::RouteDetail::default(),
        };
        picture.apply(change, &mut events);
    }
    assert_eq!(events, [NetEvent::Address(address), NetEvent::AddressGone(address)]);
}
