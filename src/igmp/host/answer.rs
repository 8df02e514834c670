//! Queries and other hosts' reports on one interface, and what is due (RFC 9776 section 5.2, RFC 2236 section 3).

use super::Outbox;
use super::link::{HostLink, Timer};
use super::querier::HeardQuerier;
use crate::igmp::packet::{Message, Query, Received};
use crate::types::{IgmpVersion, Time};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The least delay of an answer is one by chance within this: a query that says zero asks everybody to answer at
/// once, which nobody must (RFC 9776 section 5.2).
const LEAST_DELAY: Duration = Duration::from_millis(100);

impl HostLink {
    /// Takes a message from the link.
    pub(super) fn handle(&mut self, now: Time, received: &Received<'_>) {
        let to_other = !received.destination.is_multicast() && !self.is_own(received.destination);
        if to_other || self.is_own(received.source) {
            self.counters.not_for_us += 1;
            return;
        }
        self.counters.count_received(received.message.kind());
        match &received.message {
            Message::Query(query) => {
                // Without Router Alert too: the kernel answers those, and a querier that leaves the option out
                // would else end our streams.
                let querier =
                    HeardQuerier { address: received.source, version: query.version, at: now };
                let general = query.group.is_none();
                self.queriers.heard(querier, general, query.max_response, query.robustness);
                self.follow_version(now);
                if self.version == IgmpVersion::V3 {
                    self.schedule_answer(now, query);
                } else {
                    self.schedule_plain_answers(now, query);
                }
            }
            Message::ReportV1(group) | Message::ReportV2(group) => self.hear_report(*group),
            // Hosts take no part in others' version 3 reports, and leaves are for routers.
            Message::Leave(_) | Message::ReportV3(_) => {}
        }
    }

    /// Version 3: when a query is answered (section 5.2, rules 1 to 5).
    fn schedule_answer(&mut self, now: Time, query: &Query<'_>) {
        let delay = self.random.delay(query.max_response.max(LEAST_DELAY));
        let at = now.plus(delay);
        if self.timers.get(Timer::General).is_some_and(|general| general < at) {
            return;
        }
        let Some(address) = query.group else {
            if self.groups.values().any(|group| group.is_member()) {
                // Of a flood of queries each has another chance to be early.
                self.timers.set(Timer::General, at.max(self.rest_until));
            }
            return;
        };
        let Some(group) = self.groups.get_mut(&address).filter(|group| group.is_member()) else {
            return;
        };
        let pending = self.timers.get(Timer::Group(address));
        group.ask(query.sources.iter(), pending.is_some());
        let at = pending.map_or(at, |pending| pending.min(at));
        self.timers.set(Timer::Group(address), at);
    }

    /// Versions 1 and 2: when each group that a query asks for is reported.
    fn schedule_plain_answers(&mut self, now: Time, query: &Query<'_>) {
        let within = query.max_response.max(LEAST_DELAY);
        if let Some(group) = query.group {
            self.schedule_plain_answer(now, group, within);
            return;
        }
        // Many in a row cost as much as one: what was due has hardly gone since.
        let again = self
            .last_general
            .is_some_and(|(at, before)| now.since(at) < LEAST_DELAY && before <= within);
        if again {
            return;
        }
        self.last_general = Some((now, within));
        let groups: Vec<_> = self.groups.keys().copied().collect();
        for group in groups {
            self.schedule_plain_answer(now, group, within);
        }
    }

    /// A timer that runs is kept where it ends within the time to answer (RFC 2236 section 3).
    fn schedule_plain_answer(&mut self, now: Time, address: Ipv4Addr, within: Duration) {
        if !self.groups.contains_key(&address) {
            return;
        }
        let pending = self.timers.get(Timer::Group(address));
        if pending.is_none_or(|at| at.since(now) > within) {
            let delay = self.random.delay(within);
            self.timers.set(Timer::Group(address), now.plus(delay));
        }
    }

    /// Another host has reported a group: versions 1 and 2 need not (RFC 2236 section 3). Version 3 does in any
    /// case: others' reports say nothing of our sources.
    fn hear_report(&mut self, address: Ipv4Addr) {
        if self.version == IgmpVersion::V3 {
            return;
        }
        let Some(group) = self.groups.get_mut(&address) else { return };
        if self.timers.cancel(Timer::Group(address)).is_some() {
            group.repeats = 0;
            group.last_reporter = false;
        }
    }

    /// Does what is due.
    pub(super) fn timeout(&mut self, now: Time, out: &mut Outbox) {
        let mut statements = Vec::new();
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Version => self.follow_version(now),
                Timer::General => {
                    self.rest_until = now.plus(LEAST_DELAY);
                    for (address, group) in &mut self.groups {
                        // This answers what was asked of single groups later on, too.
                        self.timers.cancel(Timer::Group(*address));
                        statements.extend(group.current_state().map(|said| (*address, said)));
                    }
                }
                Timer::Changes => {
                    let changed: Vec<_> = self.changed.iter().copied().collect();
                    for address in changed {
                        self.tell_change(address, &mut statements);
                    }
                    self.schedule_changes(now);
                }
                Timer::Group(address) if self.version == IgmpVersion::V3 => {
                    let answer = self.groups.get_mut(&address).and_then(|group| group.answer());
                    statements.extend(answer.map(|said| (address, said)));
                }
                Timer::Group(address) => self.repeat_plainly(now, address, out),
            }
        }
        self.send_statements(&statements, out);
    }

    fn repeat_plainly(&mut self, now: Time, address: Ipv4Addr, out: &mut Outbox) {
        self.report_plainly(address, out);
        let Some(group) = self.groups.get_mut(&address) else { return };
        group.repeats = group.repeats.saturating_sub(1);
        if group.repeats > 0 {
            self.repeat_later(now, address);
        }
    }
}
