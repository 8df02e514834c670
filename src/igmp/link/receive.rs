//! What a received message changes.

use super::{Link, Timer, Told};
use crate::igmp::Outbox;
use crate::igmp::group::Group;
use crate::igmp::packet::{Message, Query, Received, RecordKind, Records, decode};
use crate::igmp::querier::Heard;
use crate::igmp::view::{IgmpNotice, Ignored};
use crate::types::{IgmpSettings, IgmpVersion, Time};
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// 224.0.0.0/24: of the link, whoever wants it gets it (RFC 9776 section 6).
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// Whether members of a group are kept at all.
pub(super) fn allowed(settings: &IgmpSettings, group: Ipv4Addr) -> Result<(), Ignored> {
    let is_in = |nets: &[Ipv4Net]| nets.iter().any(|net| net.contains(&group));
    if LINK_LOCAL.contains(&group) {
        return Err(Ignored::LinkLocalGroup);
    }
    if !settings.allowed_groups.is_empty() && !is_in(&settings.allowed_groups) {
        return Err(Ignored::GroupNotAllowed);
    }
    Ok(())
}

impl Link {
    /// Takes an IPv4 packet that came from the link.
    pub(in crate::igmp) fn handle(&mut self, now: Time, packet: &[u8], out: &mut Outbox) {
        let received = match decode(packet) {
            Ok(received) => received,
            Err(reason) => return self.counters.count_invalid(reason),
        };
        self.counters.count_received(received.message.kind());
        if let Err(ignored) = self.heed(&received) {
            return self.counters.count_ignored(ignored, 1);
        }
        let source = received.source;
        let outcome = match received.message {
            Message::Query(query) => {
                self.query_heard(now, source, &query, out);
                Ok(())
            }
            Message::ReportV1(group) => self.older_report(now, source, group, IgmpVersion::V1, out),
            Message::ReportV2(group) => self.older_report(now, source, group, IgmpVersion::V2, out),
            Message::Leave(group) => self.leave(now, group, out),
            Message::ReportV3(records) => self.report(now, source, &records, out),
        };
        if let Err(ignored) = outcome {
            self.counters.count_ignored(ignored, 1);
        }
    }

    /// Whether a message is for us at all.
    fn heed(&self, received: &Received<'_>) -> Result<(), Ignored> {
        let settings = &self.interface.settings;
        let addresses = &self.interface.addresses;
        let source = received.source;
        if settings.require_router_alert && !received.router_alert {
            return Err(Ignored::NoRouterAlert);
        }
        if addresses.iter().any(|net| net.addr() == source) {
            return Err(Ignored::OwnAddress);
        }
        let is_query = matches!(received.message, Message::Query(_));
        // RFC 9776 section 4.1.12 has hosts answer those; no router is elected by them.
        if is_query && !received.destination.is_multicast() {
            return Err(Ignored::UnicastQuery);
        }
        // Without an address of ours every host of the link is as near as the other, and so it is where ours are
        // addresses alone, as on the host's side of a pod's link. Section 4.2.14: a host may report before it has
        // an address.
        let near = addresses.iter().all(|net| net.prefix_len() == 32)
            || source.is_unspecified()
            || addresses.iter().any(|net| net.contains(&source));
        if !near && (is_query || !settings.any_reporter) {
            return Err(Ignored::OffSubnet);
        }
        Ok(())
    }

    fn query_heard(&mut self, now: Time, source: Ipv4Addr, query: &Query<'_>, out: &mut Outbox) {
        // A switch asks so (RFC 4541 section 2.1.1): hosts answer it, and it is no router.
        if source.is_unspecified() {
            return;
        }
        let index = self.index;
        if query.version != self.interface.settings.version {
            self.counters.version_mismatches += 1;
            let version = query.version;
            let notice = IgmpNotice::VersionMismatch { index, querier: source, version };
            self.tell(now, Told::Version, notice, out);
        }
        let ours = self.address();
        let heard = self.querier.hear(&self.interface.settings, ours, (source, query));
        if heard == Heard::Loses {
            return;
        }
        if heard == Heard::Elected {
            out.tell(IgmpNotice::Querier { index, querier: Some(source) });
        }
        let settings = &self.interface.settings;
        self.timers.set(Timer::OtherQuerier, now.plus(self.querier.other_present(settings)));
        if self.querier.is_us(settings) {
            return;
        }
        self.timers.cancel(Timer::General);
        let Some(address) = query.group.filter(|_| !query.suppress) else { return };
        let time = query.max_response * u32::from(self.intervals().count);
        let before = self.reception(address);
        if let Some(group) = self.groups.get_mut(&address) {
            group.lower(now, &query.sources.iter().collect(), time);
            self.after(now, address, before, out);
        }
    }

    fn older_report(
        &mut self,
        now: Time,
        reporter: Ipv4Addr,
        address: Ipv4Addr,
        version: IgmpVersion,
        out: &mut Outbox,
    ) -> Result<(), Ignored> {
        allowed(&self.interface.settings, address)?;
        if self.is_source_specific(address) {
            return Err(Ignored::SsmRange);
        }
        let before = self.reception(address);
        let intervals = self.intervals();
        let group = self.group(now, address, reporter, out)?;
        group.older_report(now, version, reporter, &intervals);
        self.after(now, address, before, out);
        Ok(())
    }

    fn leave(&mut self, now: Time, address: Ipv4Addr, out: &mut Outbox) -> Result<(), Ignored> {
        if self.interface.settings.version == IgmpVersion::V1 {
            return Err(Ignored::Version);
        }
        let (intervals, asks) = (self.intervals(), self.asks());
        let before = self.reception(address);
        if let Some(group) = self.groups.get_mut(&address) {
            let asks = group.leave(now, asks, &intervals);
            self.after(now, address, before, out);
            self.send(address, &asks, out);
        }
        Ok(())
    }

    fn report(
        &mut self,
        now: Time,
        reporter: Ipv4Addr,
        records: &Records<'_>,
        out: &mut Outbox,
    ) -> Result<(), Ignored> {
        if self.interface.settings.version < IgmpVersion::V3 {
            return Err(Ignored::Version);
        }
        self.counters.count_ignored(Ignored::UnknownRecord, records.skipped() as u64);
        for record in records.iter() {
            let is_host = |source: &Ipv4Addr| !source.is_multicast() && !source.is_unspecified();
            let sources: BTreeSet<Ipv4Addr> = record.sources.iter().filter(is_host).collect();
            let outcome = self.record(now, reporter, record.group, (record.kind, sources), out);
            if let Err(ignored) = outcome {
                self.counters.count_ignored(ignored, 1);
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        now: Time,
        reporter: Ipv4Addr,
        address: Ipv4Addr,
        (kind, sources): (RecordKind, BTreeSet<Ipv4Addr>),
        out: &mut Outbox,
    ) -> Result<(), Ignored> {
        allowed(&self.interface.settings, address)?;
        let excludes = matches!(kind, RecordKind::IsEx | RecordKind::ToEx);
        // RFC 4604 section 2.2.1.
        if excludes && self.is_source_specific(address) {
            return Err(Ignored::SsmRange);
        }
        let asks_for = excludes || !sources.is_empty() && kind != RecordKind::Block;
        if !self.groups.contains_key(&address) && !asks_for {
            // Nobody was there who could leave.
            return Ok(());
        }
        let before = self.reception(address);
        let (intervals, asks) = (self.intervals(), self.asks());
        let most = self.interface.settings.max_sources as usize;
        let group = self.group(now, address, reporter, out)?;
        let (sources, refused) = fitting(group, kind, sources, most);
        let (asks, is_over) = group.record(now, (kind, &sources), reporter, asks, &intervals);
        if is_over {
            self.groups.remove(&address);
        }
        self.after(now, address, before, out);
        self.send(address, &asks, out);
        if refused > 0 {
            self.counters.count_ignored(Ignored::SourceLimit, refused as u64);
            self.tell_limit(now, Ignored::SourceLimit, address, out);
        }
        Ok(())
    }

    /// The group, a new one where there is room.
    fn group(
        &mut self,
        now: Time,
        address: Ipv4Addr,
        reporter: Ipv4Addr,
        out: &mut Outbox,
    ) -> Result<&mut Group<Ipv4Addr>, Ignored> {
        let settings = &self.interface.settings;
        let full = self.groups.len() >= settings.max_groups as usize;
        if full && !self.groups.contains_key(&address) {
            self.tell_limit(now, Ignored::GroupLimit, address, out);
            return Err(Ignored::GroupLimit);
        }
        let track = settings.immediate_leave;
        let most = self.groups.len() + usize::from(!self.groups.contains_key(&address));
        self.counters.peak_groups = self.counters.peak_groups.max(most);
        Ok(self.groups.entry(address).or_insert_with(|| Group::new(now, reporter, track)))
    }

    fn tell_limit(&mut self, now: Time, reason: Ignored, group: Ipv4Addr, out: &mut Outbox) {
        let notice = IgmpNotice::Limit { index: self.index, reason, group };
        self.tell(now, Told::Limit(reason), notice, out);
    }

    /// True where it is us who ask when somebody leaves.
    fn asks(&self) -> bool {
        self.querier.is_us(&self.interface.settings)
    }

    fn is_source_specific(&self, group: Ipv4Addr) -> bool {
        self.interface.settings.ssm_ranges.iter().any(|net| net.contains(&group))
    }
}

/// As many of a record's sources as may be kept, and how many were refused. Who excludes too many gets
/// everything: more than was asked for, and nothing that was asked for is missing.
fn fitting(
    group: &Group<Ipv4Addr>,
    kind: RecordKind,
    mut sources: BTreeSet<Ipv4Addr>,
    most: usize,
) -> (BTreeSet<Ipv4Addr>, usize) {
    let excludes = matches!(kind, RecordKind::IsEx | RecordKind::ToEx);
    if excludes {
        let refused = if sources.len() > most { sources.len() } else { 0 };
        if refused > 0 {
            sources.clear();
        }
        return (sources, refused);
    }
    let mut room = most.saturating_sub(group.source_count());
    let asked = sources.len();
    sources.retain(|source| {
        let known = group.knows(source);
        if !known && room > 0 {
            room -= 1;
            return true;
        }
        known
    });
    let refused = asked - sources.len();
    (sources, refused)
}
