//! A small kernel and a daemon around a core: what the core should know, and what it has asked for.

use super::*;
use std::collections::HashMap;

/// The network and the rules as they are, beside what the core was told about them.
pub(super) struct World {
    pub(super) core: Core,
    pub(super) links: BTreeMap<u32, Link>,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: BTreeSet<Route>,
    /// In order of age.
    pub(super) rules: Vec<Rule>,
    next_link: u32,
    pub(super) dead: BTreeSet<u32>,
    /// From the stream of outputs: open ports, and those that have failed since.
    pub(super) open: BTreeMap<u32, (u32, PortKey, InputFilter)>,
    pub(super) failed: BTreeMap<u32, (u32, PortKey)>,
    used_ports: BTreeSet<u32>,
    pub(super) closing: BTreeSet<u32>,
    pub(super) memberships: BTreeSet<Membership>,
    pub(super) fib: Arc<Fib>,
    /// Who counts where, as of the newest table.
    owners: HashMap<RuleSlot, u64>,
}

impl World {
    pub(super) fn new() -> Self {
        let core = Core::with_workers(2);
        let snapshot = network();
        Self {
            core,
            links: snapshot.links.into_iter().map(|link| (link.index.0, link)).collect(),
            addresses: snapshot.addresses,
            routes: BTreeSet::new(),
            rules: Vec::new(),
            next_link: 4,
            dead: BTreeSet::new(),
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
            used_ports: BTreeSet::new(),
            closing: BTreeSet::new(),
            memberships: BTreeSet::new(),
            fib: Arc::default(),
            owners: HashMap::new(),
        }
    }

    pub(super) fn snapshot(&self) -> NetSnapshot {
        NetSnapshot {
            links: self.links.values().cloned().collect(),
            addresses: self.addresses.clone(),
            routes: self.routes.iter().copied().collect(),
        }
    }

    /// The nth link of those that there are.
    pub(super) fn pick(&self, n: u8) -> Option<Link> {
        let at = usize::from(n) % self.links.len().max(1);
        self.links.values().nth(at).cloned()
    }

    pub(super) fn set(&mut self, link: Link) {
        if !link.up {
            // Without a word, as the kernel does.
            // The kernel is silent about them; the monitor is not.
            let gone = |route: &Route| route.oif == Some(link.index);
            for route in self.routes.iter().copied().filter(gone).collect::<Vec<_>>() {
                self.routes.remove(&route);
                self.core.tell(Event::Net(NetEvent::RouteGone(route)));
            }
        }
        self.links.insert(link.index.0, link.clone());
        self.core.tell(Event::Net(NetEvent::Link(link)));
    }

    /// A name is given once.
    /// As the kernel has it: a name stands once among all names and alternative names.
    pub(super) fn is_free(&self, text: &str) -> bool {
        let taken = |link: &Link| {
            link.name.as_str() == text || link.alt_names.iter().any(|name| name == text)
        };
        !self.links.values().any(taken)
    }

    pub(super) fn create(&mut self, text: &str) {
        self.set(link(self.next_link, text));
        self.next_link += 1;
    }

    pub(super) fn destroy(&mut self, index: IfIndex) {
        self.forget(index);
        self.core.tell(Event::Net(NetEvent::LinkGone(index)));
    }

    /// As if the news of it were lost.
    pub(super) fn forget(&mut self, index: IfIndex) {
        self.links.remove(&index.0);
        self.addresses.retain(|address| address.index != index);
        self.routes.retain(|route| route.oif != Some(index));
    }

    /// Tells the core something that it may refuse; then nothing at all has changed.
    pub(super) fn ask(&mut self, event: Event) {
        let before = format!("{:?}", self.core.router);
        if self.core.router.handle(self.core.now, event.clone()).is_err() {
            assert_eq!(format!("{:?}", self.core.router), before);
            return;
        }
        match event {
            Event::AddRule(rule) if !self.rules.contains(&rule) => self.rules.push(rule),
            Event::RemoveRule(id) => self.rules.retain(|rule| rule.id.as_str() != id),
            Event::Rules { origin, set } => {
                self.rules.retain(|rule| rule.origin != origin || set.contains(rule));
                for rule in set {
                    if !self.rules.contains(&rule) {
                        self.rules.push(rule);
                    }
                }
            }
            _ => {}
        }
    }

    /// A port that is open fails in one of the two ways.
    pub(super) fn fail(&mut self, n: u8, closed: bool) {
        let at = usize::from(n) % self.open.len().max(1);
        let Some((&port, _)) = self.open.iter().nth(at) else { return };
        if let Some((worker, key, _)) = self.open.remove(&port) {
            self.failed.insert(port, (worker, key));
        }
        let reason = "test".to_owned();
        self.core.tell(if closed {
            Event::PortClosed { port, counters: Default::default(), failure: Some(reason) }
        } else {
            Event::PortFailed { port, reason }
        });
    }

    pub(super) fn kill(&mut self, worker: u32) {
        if !self.dead.insert(worker) {
            return;
        }
        // Its ports wait for it at the data plane.
        self.core.tell(died(worker));
    }

    pub(super) fn revive(&mut self, worker: u32) {
        if self.dead.remove(&worker) {
            self.core.tell(ready(worker));
        }
    }

    /// Does what the core asks for, and watches how it asks.
    pub(super) fn settle(&mut self) {
        let mut opened = false;
        let mut published = false;
        for output in self.core.settle() {
            match output {
                Output::Notice(_) => {}
                Output::MovePort { .. }
                | Output::Workers(_)
                | Output::Transmit(_)
                | Output::LinkListeners(_)
                | Output::HardwareGroups(_) => panic!("{output:?}"),
                Output::RejoinInterface(index) => {
                    assert!(self.memberships.iter().any(|m| m.index == index));
                }
                Output::Publish { fib, reset_rules, .. } => {
                    assert!(!opened, "a table after a port");
                    assert!(fib.generation() > self.fib.generation());
                    self.owners_after(&reset_rules);
                    self.fib = fib;
                    published = true;
                }
                Output::OpenPort { port, worker, key, filter, .. } => {
                    opened = true;
                    assert!(self.used_ports.insert(port), "port {port} twice");
                    assert!(!self.dead.contains(&worker), "port {port} for a dead worker");
                    assert!(self.links.contains_key(&key.iif().0));
                    assert!(self.open.values().all(|(_, other, _)| *other != key));
                    self.failed.retain(|_, (_, other)| *other != key);
                    self.open.insert(port, (worker, key, filter));
                }
                Output::SetFilter { port, filter } => {
                    let entry = self.open.get_mut(&port).expect("filter of an open port");
                    assert_ne!(entry.2, filter, "a filter that changes nothing");
                    entry.2 = filter;
                }
                Output::ClosePort { port } => {
                    // It may have failed between the decision to close it and now.
                    if self.open.remove(&port).is_some() {
                        self.closing.insert(port);
                    } else {
                        assert!(self.failed.remove(&port).is_some(), "port {port} is not known");
                    }
                }
                Output::Memberships(wanted) => {
                    for membership in &wanted {
                        assert!(self.links.contains_key(&membership.index.0));
                    }
                    self.memberships = wanted;
                }
                Output::InterfaceGone(index) => {
                    self.memberships.retain(|membership| membership.index != index);
                }
            }
        }
        if !published {
            self.owners_after(&[]);
        }
        let wanted: BTreeSet<PortKey> =
            self.core.router.ports.iter().map(|port| port.key).collect();
        self.failed.retain(|_, (_, key)| wanted.contains(key));
    }

    /// A place in the counters starts at zero where its owner is new, and only there.
    fn owners_after(&mut self, reset: &[RuleSlot]) {
        let now: HashMap<RuleSlot, u64> =
            self.core.router.rules.iter().map(|entry| (entry.slot, entry.serial)).collect();
        for (slot, serial) in &now {
            let is_new = self.owners.get(slot) != Some(serial);
            assert_eq!(reset.contains(slot), is_new, "{slot:?} of rule number {serial}");
        }
        self.owners = now;
    }
}
