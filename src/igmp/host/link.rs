//! Our memberships on one interface: what is wanted, and reports of its changes (RFC 9776 section 5.1,
//! RFC 2236 section 3).

use super::group::{Group, Statement, is_wanted, within_limits};
use super::querier::Queriers;
use super::random::Random;
use super::view::{HostCounters, HostGroup, HostView};
use super::{HostInterface, MAX_GROUPS, Outbox};
use crate::igmp::packet::{
    MessageKind, RecordToSend, encode_leave, encode_report_v1, encode_report_v2, encode_reports_v3,
};
use crate::timers::Timers;
use crate::types::{IfIndex, IgmpVersion, Reception, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

/// What is due at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The version may become a newer one.
    Version,
    /// Version 3: a general query is answered.
    General,
    /// Version 3: changes are reported again.
    Changes,
    /// Version 3: a query for this group is answered. Versions 1 and 2: it is reported.
    Group(Ipv4Addr),
}

/// An interface.
#[derive(Clone, Debug)]
pub(super) struct HostLink {
    index: IfIndex,
    pub(super) interface: HostInterface,
    pub(super) queriers: Queriers,
    pub(super) version: IgmpVersion,
    pub(super) groups: BTreeMap<Ipv4Addr, Group>,
    /// Groups that are wanted and never reported.
    silent: BTreeSet<Ipv4Addr>,
    /// Groups with changes to be reported again.
    pub(super) changed: BTreeSet<Ipv4Addr>,
    over_limit: usize,
    pub(super) timers: Timers<Timer>,
    pub(super) random: Random,
    /// Versions 1 and 2: when a general query was heard last and its longest delay.
    pub(super) last_general: Option<(Time, Duration)>,
    /// Version 3: no general query is answered before.
    pub(super) rest_until: Time,
    pub(super) counters: HostCounters,
}

impl HostLink {
    pub(super) fn new(now: Time, index: IfIndex, interface: HostInterface, seed: u64) -> Self {
        let queriers = Queriers::new(interface.mode);
        Self {
            index,
            interface,
            version: queriers.version(now),
            queriers,
            groups: BTreeMap::new(),
            silent: BTreeSet::new(),
            changed: BTreeSet::new(),
            over_limit: 0,
            timers: Timers::default(),
            random: Random::new(seed ^ (u64::from(index.0) << 32)),
            last_general: None,
            rest_until: now,
            counters: HostCounters::default(),
        }
    }

    /// Runs as said from now on. Where that changes who speaks, or which version, all is told again.
    pub(super) fn reconfigure(&mut self, now: Time, interface: HostInterface, out: &mut Outbox) {
        let (address, version) = (self.address(), self.version);
        self.interface = interface;
        self.queriers.set_mode(self.interface.mode);
        self.follow_version(now);
        if self.address() != address || self.version != version {
            self.rejoin(now, out);
        }
    }

    /// The address that we report from.
    fn address(&self) -> Ipv4Addr {
        self.interface.addresses.first().map_or(Ipv4Addr::UNSPECIFIED, |subnet| subnet.addr())
    }

    pub(super) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.interface.addresses.iter().any(|subnet| subnet.addr() == address)
    }

    /// Speaks the version that is due; with another one nothing of the old is pending (section 7.2.1).
    pub(super) fn follow_version(&mut self, now: Time) {
        match self.queriers.next_change(now) {
            Some(at) => self.timers.set(Timer::Version, at),
            None => {
                self.timers.cancel(Timer::Version);
            }
        }
        let version = self.queriers.version(now);
        if version == self.version {
            return;
        }
        self.version = version;
        self.timers.cancel(Timer::General);
        self.timers.cancel(Timer::Changes);
        self.changed.clear();
        self.last_general = None;
        let timers = &mut self.timers;
        self.groups.retain(|address, group| {
            timers.cancel(Timer::Group(*address));
            group.forget_pending();
            group.is_member()
        });
    }

    /// What is wanted from now on.
    pub(super) fn set(
        &mut self,
        now: Time,
        wanted: &BTreeMap<Ipv4Addr, Reception>,
        out: &mut Outbox,
    ) {
        self.silent.clear();
        self.over_limit = 0;
        let gone: Vec<_> = self
            .groups
            .iter()
            .filter(|(_, group)| group.is_member())
            .map(|(address, _)| *address)
            .filter(|address| !wanted.get(address).is_some_and(is_wanted))
            .collect();
        let mut touched = Vec::new();
        for group in gone {
            touched.extend(self.change(now, group, Reception::Include(BTreeSet::new()), out));
        }
        for (group, reception) in wanted.iter().filter(|(_, reception)| is_wanted(reception)) {
            if !group.is_multicast() {
                continue;
            }
            if is_link_local(*group) {
                self.silent.insert(*group);
                continue;
            }
            let wanted = within_limits(reception);
            match self.groups.get(group) {
                Some(known) if *known.wanted() == wanted => continue,
                None if self.groups.len() >= MAX_GROUPS => {
                    self.over_limit += 1;
                    continue;
                }
                _ => {}
            }
            touched.extend(self.change(now, *group, wanted, out));
        }
        self.report_changes(now, &touched, out);
    }

    /// Takes what is wanted of a group now; the group where that is still to be reported, in version 3.
    fn change(
        &mut self,
        now: Time,
        address: Ipv4Addr,
        wanted: Reception,
        out: &mut Outbox,
    ) -> Option<Ipv4Addr> {
        let robustness = self.queriers.robustness();
        let group = self.groups.entry(address).or_insert_with(Group::new);
        if self.version == IgmpVersion::V3 {
            group.change(wanted, robustness);
            return Some(address);
        }
        // Versions 1 and 2 know members, not sources.
        let was_member = group.is_member();
        group.replace(wanted);
        match (was_member, group.is_member()) {
            (false, true) => self.announce_plainly(now, address, out),
            (true, false) => {
                let reported_last = group.last_reporter;
                self.groups.remove(&address);
                self.timers.cancel(Timer::Group(address));
                if self.version == IgmpVersion::V2 && reported_last {
                    let packet = encode_leave(self.address(), address);
                    self.send(MessageKind::Leave, packet, out);
                }
            }
            _ => {}
        }
        None
    }

    /// Versions 1 and 2: reports a group at once and, as often as the robustness variable says, again.
    fn announce_plainly(&mut self, now: Time, address: Ipv4Addr, out: &mut Outbox) {
        // At least one: the robustness is never below two.
        let repeats = self.queriers.robustness().saturating_sub(1);
        if let Some(group) = self.groups.get_mut(&address) {
            group.repeats = repeats;
        }
        self.report_plainly(address, out);
        self.repeat_later(now, address);
    }

    /// Versions 1 and 2: reports a group again, some time.
    pub(super) fn repeat_later(&mut self, now: Time, address: Ipv4Addr) {
        let delay = self.random.delay(UNSOLICITED_INTERVAL_V2);
        self.timers.set(Timer::Group(address), now.plus(delay));
    }

    /// Versions 1 and 2: reports a group.
    pub(super) fn report_plainly(&mut self, address: Ipv4Addr, out: &mut Outbox) {
        if let Some(group) = self.groups.get_mut(&address) {
            group.last_reporter = true;
        }
        let source = self.address();
        match self.version {
            IgmpVersion::V1 => {
                self.send(MessageKind::ReportV1, encode_report_v1(source, address), out);
            }
            _ => self.send(MessageKind::ReportV2, encode_report_v2(source, address), out),
        }
    }

    /// Tells all of what is wanted again: the link was lost, or who we are has changed.
    pub(super) fn rejoin(&mut self, now: Time, out: &mut Outbox) {
        let robustness = self.queriers.robustness();
        let members: Vec<_> = self
            .groups
            .iter()
            .filter(|(_, group)| group.is_member())
            .map(|(address, _)| *address)
            .collect();
        if self.version == IgmpVersion::V3 {
            for address in &members {
                if let Some(group) = self.groups.get_mut(address) {
                    group.announce(robustness);
                }
            }
            self.report_changes(now, &members, out);
        } else {
            for address in members {
                self.announce_plainly(now, address, out);
            }
        }
    }

    /// Version 3: reports the changes of these groups now and, as often as the robustness variable says, again.
    fn report_changes(&mut self, now: Time, groups: &[Ipv4Addr], out: &mut Outbox) {
        let mut statements = Vec::new();
        for address in groups {
            self.tell_change(*address, &mut statements);
        }
        self.send_statements(&statements, out);
        self.schedule_changes(now);
    }

    /// Version 3: what the next report says of a group's changes.
    pub(super) fn tell_change(
        &mut self,
        address: Ipv4Addr,
        statements: &mut Vec<(Ipv4Addr, Statement)>,
    ) {
        let Some(group) = self.groups.get_mut(&address) else { return };
        statements.extend(group.state_change().into_iter().map(|said| (address, said)));
        if group.has_changes() {
            self.changed.insert(address);
            return;
        }
        self.changed.remove(&address);
        if !group.is_member() {
            self.groups.remove(&address);
            self.timers.cancel(Timer::Group(address));
        }
    }

    /// One timer for all groups with changes: theirs are reported together.
    pub(super) fn schedule_changes(&mut self, now: Time) {
        if self.changed.is_empty() {
            self.timers.cancel(Timer::Changes);
        } else if self.timers.get(Timer::Changes).is_none() {
            let delay = self.random.delay(UNSOLICITED_INTERVAL_V3);
            self.timers.set(Timer::Changes, now.plus(delay));
        }
    }

    /// Sends version 3 reports that say this.
    pub(super) fn send_statements(
        &mut self,
        statements: &[(Ipv4Addr, Statement)],
        out: &mut Outbox,
    ) {
        let records: Vec<_> = statements
            .iter()
            .map(|(group, (kind, sources))| RecordToSend { kind: *kind, group: *group, sources })
            .collect();
        for packet in encode_reports_v3(self.address(), &records, self.interface.mtu) {
            self.send(MessageKind::ReportV3, packet, out);
        }
    }

    fn send(&mut self, kind: MessageKind, packet: Vec<u8>, out: &mut Outbox) {
        if out.push(self.index, packet) {
            self.counters.count_sent(kind);
        } else {
            self.counters.given_up += 1;
        }
    }

    /// The groups whose packets are to be let in.
    pub(super) fn listened(&self) -> impl Iterator<Item = Ipv4Addr> {
        let members = self.groups.iter().filter(|(_, group)| group.is_member());
        members.map(|(address, _)| *address).chain(self.silent.iter().copied())
    }

    pub(super) fn view(&self) -> HostView {
        HostView {
            mode: self.interface.mode,
            version: self.version,
            querier: self.queriers.last(),
            older_querier_until: self.timers.get(Timer::Version),
            robustness: self.queriers.robustness(),
            answer_due: self.timers.get(Timer::General),
            changes_due: self.timers.get(Timer::Changes),
            groups: self.groups.values().filter(|group| group.is_member()).count(),
            over_limit: self.over_limit,
        }
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = HostGroup<'_>> {
        self.groups.iter().map(|(address, group)| HostGroup {
            group: *address,
            wanted: group.wanted(),
            last_reporter: group.last_reporter,
            due: self.timers.get(Timer::Group(*address)),
        })
    }
}

/// Within which a change is reported again (RFC 9776 section 8.11).
const UNSOLICITED_INTERVAL_V3: Duration = Duration::from_secs(1);
/// The same in versions 1 and 2 (RFC 2236 section 8.10).
const UNSOLICITED_INTERVAL_V2: Duration = Duration::from_secs(10);

/// 224.0.0.0/24, which no router forwards (RFC 5771 section 4): a report of it upstream would ask for nothing.
fn is_link_local(group: Ipv4Addr) -> bool {
    group.octets()[..3] == [224, 0, 0]
}
