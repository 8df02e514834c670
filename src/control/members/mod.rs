//! Members of groups on our links: on which interfaces IGMP runs, and what is wanted there ([`wanted`]).

pub(super) mod wanted;

use super::interfaces::Interfaces;
use super::notice::Notice;
use crate::igmp::{Igmp, IgmpNotice, Interface};
use crate::types::{IfIndex, IgmpConfig, IgmpSettings, Link, LinkDrops, Time, Transmit};
use ipnet::{IpNet, Ipv4Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;
use wanted::{Change, KnownGroup, KnownMembers, Wanted};

/// How long after the answers to our first queries were due what is only remembered stays.
const HOLD_MARGIN: Duration = Duration::from_secs(2);
/// Changes of groups that are told one by one within [`TELLING`]; of the others the number is told.
const TOLD_ONE_BY_ONE: u32 = 16;
const TELLING: Duration = Duration::from_secs(1);
/// After how long packets of links are asked for again that could not be had.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// For each interface on which outputs wait for members, how long those go on after members have left.
pub(super) type Lingers = BTreeMap<IfIndex, BTreeSet<Duration>>;

/// Prefixes of groups by interface: a change of others concerns no output.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched(BTreeMap<IfIndex, BTreeSet<Ipv4Net>>);

impl Watched {
    pub(super) fn add(&mut self, index: IfIndex, groups: Ipv4Net) {
        self.0.entry(index).or_default().insert(groups);
    }

    fn has(&self, index: IfIndex, group: Ipv4Addr) -> bool {
        self.0.get(&index).is_some_and(|nets| {
            let mut around = (0..=32).filter_map(|length| Ipv4Net::new(group, length).ok());
            around.any(|net| nets.contains(&net.trunc()))
        })
    }
}

fn told(notice: IgmpNotice, interfaces: &Interfaces) -> Notice {
    let named = |index| (interfaces.name_of(index), index);
    match notice {
        IgmpNotice::Querier { index, querier } => {
            let (interface, ifindex) = named(index);
            Notice::QuerierChanged { interface, ifindex, querier }
        }
        IgmpNotice::VersionMismatch { index, querier, version } => {
            let (interface, ifindex) = named(index);
            Notice::QuerierVersionDiffers { interface, ifindex, querier, version: version.number() }
        }
        IgmpNotice::Limit { index, reason, group } => {
            let (interface, ifindex) = named(index);
            let limit = reason.name().to_owned();
            Notice::MemberLimitReached { interface, ifindex, group, limit }
        }
    }
}

/// What was told of an interface lately.
#[derive(Clone, Debug, Default)]
struct Telling {
    since: Time,
    one_by_one: u32,
    joined: u64,
    left: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    pub(super) igmp: Igmp,
    config: IgmpConfig,
    /// Where IGMP runs, and as what.
    on: BTreeMap<IfIndex, Interface>,
    pub(super) wanted: Wanted,
    /// What outputs can make use of.
    pub(super) watched: Watched,
    /// Something that an output waits for has changed.
    changed: bool,
    /// Interfaces whose packets cannot be had.
    deaf: BTreeMap<IfIndex, String>,
    listen_again_at: Option<Time>,
    /// Packets that never came here.
    drops: BTreeMap<IfIndex, LinkDrops>,
    telling: BTreeMap<IfIndex, Telling>,
}

impl Members {
    /// What the file says from now on; it takes effect with [`Self::run_on`].
    pub(super) fn set_config(&mut self, config: IgmpConfig) -> bool {
        let before = std::mem::replace(&mut self.config, config);
        before != self.config
    }

    /// What the file says.
    pub(super) fn config(&self) -> &IgmpConfig {
        &self.config
    }

    /// Runs on the interfaces that the file names, and on those where outputs wait for members. True where those
    /// are others than before.
    pub(super) fn run_on(&mut self, now: Time, interfaces: &Interfaces, lingers: &Lingers) -> bool {
        let mut gone: BTreeSet<IfIndex> = self.on.keys().copied().collect();
        gone.extend(self.wanted.interfaces());
        let mut others = false;
        for link in interfaces.all().filter(|link| link.up) {
            let addresses = interfaces.addresses(link.index);
            let Some(settings) = self.settings(link, addresses, lingers) else { continue };
            gone.remove(&link.index);
            let interface = Interface { settings, addresses: v4(addresses), mtu: link.mtu };
            let outputs = lingers.get(&link.index).cloned().unwrap_or_default();
            self.wanted.set_lingers(link.index, outputs);
            if self.on.get(&link.index) != Some(&interface) {
                let answered = interface.settings.query_response_interval + HOLD_MARGIN;
                self.igmp.configure(now, link.index, Some(interface.clone()));
                let before = self.on.insert(link.index, interface);
                if before.is_none() {
                    others = true;
                    self.wanted.hold_until(link.index, now.plus(answered));
                }
            }
        }
        for index in gone {
            others |= self.stop(now, index);
        }
        others
    }

    /// An interface is gone or down, or nobody needs to know its members any more.
    pub(super) fn stop(&mut self, now: Time, index: IfIndex) -> bool {
        let ran = self.on.remove(&index).is_some();
        if ran {
            self.igmp.configure(now, index, None);
        }
        self.changed |= self.wanted.forget(index);
        self.deaf.remove(&index);
        self.telling.remove(&index);
        self.drops.remove(&index);
        ran
    }

    fn settings(
        &self,
        link: &Link,
        addresses: &[IpNet],
        lingers: &Lingers,
    ) -> Option<IgmpSettings> {
        let mut said = self.config.interfaces.iter();
        let said = said.find(|(selector, _)| selector.selects(link, addresses));
        let said = said.map(|(_, settings)| settings.clone());
        said.or_else(|| lingers.contains_key(&link.index).then(IgmpSettings::default))
    }

    /// How IGMP runs on an interface.
    pub(super) fn runs(&self, index: IfIndex) -> Option<&Interface> {
        self.on.get(&index)
    }

    /// Packets of an interface's link that never came here.
    pub(super) fn drops(&self, index: IfIndex) -> LinkDrops {
        self.drops.get(&index).copied().unwrap_or_default()
    }

    /// Where IGMP runs.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = IfIndex> {
        self.on.keys().copied()
    }

    /// Why members of an interface cannot be heard.
    pub(super) fn trouble(&self, index: IfIndex) -> Option<&str> {
        self.deaf.get(&index).map(String::as_str)
    }

    /// Packets of these links cannot be had.
    pub(super) fn set_deaf(&mut self, now: Time, failed: Vec<(IfIndex, String)>) {
        self.listen_again_at = (!failed.is_empty()).then(|| now.plus(LISTEN_AGAIN));
        self.deaf = failed.into_iter().collect();
    }

    /// So many packets of a link more are lost.
    pub(super) fn add_drops(&mut self, index: IfIndex, more: LinkDrops) {
        let drops = self.drops.entry(index).or_default();
        drops.by_kernel = drops.by_kernel.saturating_add(more.by_kernel);
        drops.too_long = drops.too_long.saturating_add(more.too_long);
    }

    /// True where it is time to ask again for packets that could not be had.
    pub(super) fn listen_again(&mut self, now: Time) -> bool {
        self.listen_again_at.take_if(|at| *at <= now).is_some()
    }

    pub(super) fn handle_packet(&mut self, now: Time, index: IfIndex, packet: &[u8]) {
        if self.on.contains_key(&index) {
            self.igmp.handle_packet(now, index, packet);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.igmp.handle_timeout(now);
        self.changed |= self.wanted.handle_timeout(now);
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let telling = self.telling.values().filter(|of| of.joined + of.left > 0);
        let telling = telling.map(|of| of.since.plus(TELLING)).min();
        [self.igmp.next_timeout(), self.wanted.next_timeout(), self.listen_again_at, telling]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.igmp.poll_transmit()
    }

    /// Takes up what IGMP has found out; what of that people want to know.
    pub(super) fn take_up(&mut self, now: Time, interfaces: &Interfaces) -> Vec<Notice> {
        let mut notices = Vec::new();
        while let Some((index, group)) = self.igmp.poll_change() {
            let reception = self.igmp.reception(index, group);
            notices.extend(self.set(now, (index, group), reception, interfaces));
        }
        notices.extend(self.tell_sums(now, interfaces));
        while let Some(notice) = self.igmp.poll_notice() {
            notices.push(told(notice, interfaces));
        }
        notices
    }

    /// What members of a group want on an interface has changed to this.
    pub(super) fn set(
        &mut self,
        now: Time,
        (index, group): (IfIndex, Ipv4Addr),
        reception: Option<crate::types::Reception>,
        interfaces: &Interfaces,
    ) -> Option<Notice> {
        if !self.on.contains_key(&index) {
            return None;
        }
        let change = self.wanted.set(now, (index, group), reception)?;
        self.changed |= self.watched.has(index, group);
        let telling = self.telling.entry(index).or_default();
        if telling.since.plus(TELLING) <= now && telling.joined + telling.left == 0 {
            *telling = Telling { since: now, ..Telling::default() };
        }
        let counter = match change {
            Change::Joined => &mut telling.joined,
            Change::Left => &mut telling.left,
            Change::Sources => return None,
        };
        if telling.one_by_one >= TOLD_ONE_BY_ONE {
            *counter += 1;
            return None;
        }
        telling.one_by_one += 1;
        let interface = interfaces.name_of(index);
        Some(match change {
            Change::Left => Notice::MemberLeft { interface, ifindex: index, group },
            _ => Notice::MemberJoined { interface, ifindex: index, group },
        })
    }

    /// How many groups have changed that were not told one by one.
    fn tell_sums(&mut self, now: Time, interfaces: &Interfaces) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (index, telling) in &mut self.telling {
            if telling.since.plus(TELLING) > now || telling.joined + telling.left == 0 {
                continue;
            }
            notices.push(Notice::MembersChanged {
                interface: interfaces.name_of(*index),
                ifindex: *index,
                joined: telling.joined,
                left: telling.left,
                groups: self.wanted.joined(*index),
            });
            // Where so many come and go, the next ones are summed up too.
            *telling = Telling { since: now, one_by_one: TOLD_ONE_BY_ONE, ..Telling::default() };
        }
        notices
    }

    /// True where something that outputs wait for has changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Takes over what a core before this one knew; it is asked for again.
    pub(super) fn hold(&mut self, known: impl IntoIterator<Item = KnownGroup>) {
        self.wanted.hold(known);
    }

    /// What is to be remembered and has changed since the last call.
    pub(super) fn take_notes(&mut self) -> Vec<KnownMembers> {
        self.wanted.take_changed()
    }

    /// All that is to be remembered.
    pub(super) fn all_notes(&self) -> Vec<KnownMembers> {
        self.wanted.all_known()
    }
}

/// The IPv4 ones, in their order.
pub(super) fn v4(addresses: &[IpNet]) -> Vec<Ipv4Net> {
    let v4 = addresses.iter().filter_map(|net| match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    });
    v4.collect()
}
