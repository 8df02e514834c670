//! Our own memberships: who asks for them on which interface, the kernel or we ourselves, never both.

use super::interfaces::Interfaces;
use super::members::v4;
use crate::igmp::host::{Host, HostCounters, HostInterface, HostView};
use crate::types::{
    HostMode, IfIndex, InterfaceSelector, Link, Membership, Reception, Time, Transmit,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// So long after a link is there again it is asked for the second time: a switch may take its port into use later
/// than that. A Linux bridge does, by up to a second (`linkwatch_nextevent`, net/core/link_watch.c).
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What is asked for by reports of ours on one interface.
type Own = BTreeMap<Ipv4Addr, Reception>;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    host: Host,
    /// Where we report ourselves.
    on: BTreeMap<IfIndex, HostInterface>,
    /// What is asked for there.
    own: BTreeMap<IfIndex, Own>,
    /// What the kernel is asked for.
    kernel: BTreeSet<Membership>,
    /// What interfaces have to let in for us.
    hardware: BTreeSet<(IfIndex, Ipv4Addr)>,
    /// Whether interfaces can carry packets, and how often they have lost their carrier.
    links: BTreeMap<IfIndex, (bool, u32)>,
    /// Interfaces that are there again since the last [`Self::take_regained`].
    regained: BTreeSet<IfIndex>,
    /// When it is asked once more on those of before.
    repeats: BTreeMap<IfIndex, Time>,
}

/// What others have to do for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Division {
    /// The kernel's memberships, where they are others than before.
    pub(super) kernel: Option<BTreeSet<Membership>>,
    /// What interfaces have to let in for us, where that is something else than before.
    pub(super) hardware: Option<BTreeSet<(IfIndex, Ipv4Addr)>>,
}

impl Upstream {
    /// `seed` is for the times at which reports are sent.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            host: Host::new(seed),
            on: BTreeMap::new(),
            own: BTreeMap::new(),
            kernel: BTreeSet::new(),
            hardware: BTreeSet::new(),
            links: BTreeMap::new(),
            regained: BTreeSet::new(),
            repeats: BTreeMap::new(),
        }
    }

    /// Leaves all that is asked for by reports of ours where those are not to be sent any more: that goes out
    /// before anybody else asks.
    pub(super) fn run_on(
        &mut self,
        now: Time,
        interfaces: &Interfaces,
        modes: &[(InterfaceSelector, HostMode)],
    ) {
        let mut gone: BTreeSet<IfIndex> = self.on.keys().copied().collect();
        if modes.is_empty() && gone.is_empty() {
            return;
        }
        // On the loopback interface the kernel is the only one to ask.
        for link in interfaces.all().filter(|link| link.up && !link.loopback) {
            let addresses = interfaces.addresses(link.index);
            let mode = modes.iter().find(|(selector, _)| selector.selects(link, addresses));
            let mode = mode.map_or(HostMode::Kernel, |(_, mode)| *mode);
            if mode == HostMode::Kernel {
                continue;
            }
            gone.remove(&link.index);
            let interface = HostInterface { mode, addresses: v4(addresses), mtu: link.mtu };
            let before = self.on.insert(link.index, interface.clone());
            if before.as_ref() != Some(&interface) {
                self.host.configure(now, link.index, Some(interface));
            }
        }
        for index in gone {
            self.stop(now, index);
        }
    }

    /// No reports of ours any more on an interface; the last one says that we leave.
    fn stop(&mut self, now: Time, index: IfIndex) {
        self.on.remove(&index);
        self.own.remove(&index);
        self.host.set(now, index, &Own::new());
        self.host.configure(now, index, None);
    }

    /// What is kept for an interface is void.
    pub(super) fn interface_gone(&mut self, now: Time, index: IfIndex) {
        self.kernel.retain(|membership| membership.index != index);
        self.hardware.retain(|(on, _)| *on != index);
        self.links.remove(&index);
        self.regained.remove(&index);
        self.repeats.remove(&index);
        if self.on.contains_key(&index) {
            self.stop(now, index);
        }
    }

    /// Divides all memberships into the kernel's and ours; [`Self::report`] then asks for ours.
    pub(super) fn divide(&mut self, all: &BTreeSet<Membership>) -> Division {
        let mut kernel = BTreeSet::new();
        let mut own: BTreeMap<IfIndex, Own> =
            self.on.keys().map(|index| (*index, Own::new())).collect();
        for membership in all {
            match (own.get_mut(&membership.index), membership.group) {
                (Some(own), IpAddr::V4(group)) => add(own, group, membership.source),
                _ => _ = kernel.insert(*membership),
            }
        }
        let hardware: BTreeSet<(IfIndex, Ipv4Addr)> =
            own.iter().flat_map(|(on, groups)| groups.keys().map(|group| (*on, *group))).collect();
        let division = Division {
            hardware: (hardware != self.hardware).then(|| hardware.clone()),
            kernel: (kernel != self.kernel).then(|| kernel.clone()),
        };
        self.hardware = hardware;
        self.kernel = kernel;
        self.own = own;
        division
    }

    /// Asks for what is ours to ask for.
    pub(super) fn report(&mut self, now: Time) {
        for (index, groups) in &self.own {
            self.host.set(now, *index, groups);
        }
    }

    /// What the kernel is asked for.
    pub(super) fn kernel(&self) -> &BTreeSet<Membership> {
        &self.kernel
    }

    /// What there is to see of an interface where we report ourselves.
    pub(super) fn view(&self, index: IfIndex) -> Option<HostView> {
        self.host.view(index)
    }

    /// What was counted there.
    pub(super) fn counters(&self, index: IfIndex) -> Option<&HostCounters> {
        self.host.counters(index)
    }

    /// Where we have to hear queries.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = IfIndex> {
        self.on.keys().copied()
    }

    /// Notes whether an interface can carry packets.
    pub(super) fn note_link(&mut self, link: &Link) {
        let now = (link.up && link.carrier, link.carrier_losses);
        let before = self.links.insert(link.index, now);
        if !now.0 {
            self.regained.remove(&link.index);
            self.repeats.remove(&link.index);
        } else if before.is_some_and(|before| before != now) {
            // It could not, or has lost its carrier and found it before we were told.
            self.regained.insert(link.index);
        }
    }

    /// Asks again, twice, on interfaces that can carry packets again; those where the kernel has to.
    pub(super) fn take_regained(&mut self, now: Time) -> Vec<IfIndex> {
        let mut asking = std::mem::take(&mut self.regained);
        let due = self.repeats.iter().filter(|(_, at)| **at <= now).map(|(index, _)| *index);
        let due: Vec<IfIndex> = due.collect();
        self.repeats.retain(|_, at| *at > now);
        self.repeats.extend(asking.iter().map(|index| (*index, now.plus(ASKED_AGAIN_AFTER))));
        asking.extend(due);
        let mut by_kernel = Vec::new();
        for index in asking {
            if self.on.contains_key(&index) {
                self.host.rejoin(now, index);
            } else if self.kernel.iter().any(|membership| membership.index == index) {
                by_kernel.push(index);
            }
        }
        by_kernel
    }

    pub(super) fn handle_packet(&mut self, now: Time, index: IfIndex, packet: &[u8]) {
        if self.on.contains_key(&index) {
            self.host.handle_packet(now, index, packet);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.host.handle_timeout(now);
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.host.next_timeout().into_iter().chain(self.repeats.values().copied()).min()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.host.poll_transmit()
    }
}

/// One membership more of a group: from every source, or from one more.
fn add(own: &mut Own, group: Ipv4Addr, source: Option<IpAddr>) {
    let nobody = || Reception::Include(BTreeSet::new());
    let reception = own.entry(group).or_insert_with(nobody);
    match (reception, source) {
        (Reception::Include(sources), Some(IpAddr::V4(source))) => _ = sources.insert(source),
        (all, None) => *all = Reception::Exclude(BTreeSet::new()),
        (_, Some(_)) => {}
    }
}
