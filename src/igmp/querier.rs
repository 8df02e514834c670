//! Who asks on a link: the election and what follows from it (RFC 9776 sections 6.6.2, 7.3.1 and 8).

use super::group::Intervals;
use super::packet::Query;
use crate::types::{IgmpSettings, IgmpVersion, MembershipInterval, QuerierMode};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Another router that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) address: Ipv4Addr,
    pub(super) version: IgmpVersion,
    /// Its robustness variable and query interval, where it says them.
    robustness: Option<u8>,
    interval: Option<Duration>,
    /// Within which hosts answer it.
    response: Duration,
}

/// What a query has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The sender is the querier, and was it before.
    Known,
    /// The sender is the querier from now on.
    Elected,
    /// The sender does not win.
    Loses,
}

/// Querier or not, and what that says of all intervals.
#[derive(Clone, Debug)]
pub(super) struct Querier {
    /// Who is it in our place; with [`QuerierMode::On`] never.
    other: Option<Other>,
    /// Queries of the start-up burst that are still to be sent.
    starting: u8,
}

impl Querier {
    /// Nobody else has been heard.
    pub(super) fn new(settings: &IgmpSettings) -> Self {
        Self { other: None, starting: robustness(settings) }
    }

    /// True where it is us who ask.
    pub(super) fn is_us(&self, settings: &IgmpSettings) -> bool {
        match settings.querier {
            QuerierMode::On => true,
            QuerierMode::Auto => self.other.is_none(),
            QuerierMode::Off => false,
        }
    }

    pub(super) fn other(&self) -> Option<&Other> {
        self.other.as_ref()
    }

    /// A query of another router of this link. The lowest address wins; who has none asks for others only.
    pub(super) fn hear(
        &mut self,
        settings: &IgmpSettings,
        ours: Option<Ipv4Addr>,
        (source, query): (Ipv4Addr, &Query<'_>),
    ) -> Heard {
        if settings.querier == QuerierMode::On {
            return Heard::Loses;
        }
        // Who never asks does not compete: the lowest of the others is it.
        let competitor = match settings.querier {
            QuerierMode::Off => None,
            QuerierMode::Auto | QuerierMode::On => ours,
        };
        let known = self.other.map(|other| other.address);
        let bound = [competitor, known].into_iter().flatten().min();
        if bound.is_some_and(|lowest| source > lowest) {
            return Heard::Loses;
        }
        let before = self.other.filter(|other| other.address == source);
        let is_general = query.group.is_none();
        self.other = Some(Other {
            address: source,
            version: query.version,
            robustness: Some(query.robustness).filter(|said| *said > 0),
            interval: Some(query.interval).filter(|said| !said.is_zero()),
            // Of a group-specific query it is something else.
            response: match before {
                Some(before) if !is_general => before.response,
                _ if is_general => query.max_response,
                _ => settings.query_response_interval,
            },
        });
        if before.is_some() { Heard::Known } else { Heard::Elected }
    }

    /// The other querier has not been heard for too long; the start-up burst is over by then.
    pub(super) fn forget_other(&mut self) {
        self.other = None;
    }

    /// A general query has been sent: after how long the next one follows (sections 8.6 and 8.7).
    pub(super) fn asked(&mut self, settings: &IgmpSettings) -> Duration {
        self.starting = self.starting.saturating_sub(1);
        if self.starting > 0 { settings.query_interval / 4 } else { settings.query_interval }
    }

    /// The robustness variable in force: the querier's (section 4.1.6), never 0.
    pub(super) fn robustness(&self, settings: &IgmpSettings) -> u8 {
        let said = self.other.and_then(|other| other.robustness);
        said.unwrap_or_else(|| robustness(settings))
    }

    /// The query interval in force: the querier's (section 4.1.7).
    pub(super) fn interval(&self, settings: &IgmpSettings) -> Duration {
        let said = self.other.and_then(|other| other.interval);
        said.unwrap_or(settings.query_interval)
    }

    fn response(&self, settings: &IgmpSettings) -> Duration {
        self.other.map_or(settings.query_response_interval, |other| other.response)
    }

    /// How long the other querier may be silent (section 8.5).
    pub(super) fn other_present(&self, settings: &IgmpSettings) -> Duration {
        let rounds = self.interval(settings) * u32::from(self.robustness(settings));
        rounds + self.response(settings) / 2
    }

    /// All that groups need to know.
    pub(super) fn intervals(&self, settings: &IgmpSettings) -> Intervals {
        let robustness = self.robustness(settings);
        let (interval, response) = (self.interval(settings), self.response(settings));
        let rounds = interval * u32::from(robustness);
        let is_v3 = settings.version == IgmpVersion::V3;
        let membership = match settings.membership_interval {
            MembershipInterval::ByVersion if is_v3 => rounds + response * 2,
            MembershipInterval::ByVersion | MembershipInterval::Rfc3376 => rounds + response,
        };
        Intervals {
            membership,
            older_host: rounds + response,
            last_member: settings.last_member_query_interval,
            count: settings.last_member_query_count.unwrap_or(robustness).max(1),
        }
    }
}

/// Section 8.1: it must not be 0.
fn robustness(settings: &IgmpSettings) -> u8 {
    settings.robustness.max(1)
}
