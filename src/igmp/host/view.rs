//! What there is to see of our own memberships.

use super::querier::HeardQuerier;
use crate::igmp::packet::{Invalid, MessageKind};
use crate::types::{HostMode, IgmpVersion, Reception, Time};
use std::net::Ipv4Addr;

/// Our own memberships on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// How the version is chosen.
    pub mode: HostMode,
    /// The version that is spoken now.
    pub version: IgmpVersion,
    /// The querier heard last.
    pub querier: Option<HeardQuerier>,
    /// When an older querier is no longer taken to be there, unless it is heard again (RFC 9776 section 7.2.1).
    pub older_querier_until: Option<Time>,
    /// How often a change is reported, by the querier's robustness variable.
    pub robustness: u8,
    /// When a general query is answered.
    pub answer_due: Option<Time>,
    /// When changes are reported again.
    pub changes_due: Option<Time>,
    /// Groups that we are a member of and report.
    pub groups: usize,
    /// Groups that were wanted and are not reported, since there are too many.
    pub over_limit: usize,
}

/// A group on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostGroup<'a> {
    /// The group.
    pub group: Ipv4Addr,
    /// From which sources it is wanted; include of none = left, which is still to be reported again.
    pub wanted: &'a Reception,
    /// No other host has reported it since we did (RFC 2236 section 3).
    pub last_reporter: bool,
    /// When a query is answered or, in versions 1 and 2, the report repeated.
    pub due: Option<Time>,
}

/// What came and went on an interface since it was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCounters {
    received: [u64; MessageKind::ALL.len()],
    sent: [u64; MessageKind::ALL.len()],
    invalid: [u64; Invalid::ALL.len()],
    /// Messages from our own address, or to a unicast address that is not ours.
    pub not_for_us: u64,
    /// Packets of ours that were given up, since too many wait to be sent.
    pub given_up: u64,
}

impl Default for HostCounters {
    fn default() -> Self {
        Self {
            received: [0; MessageKind::ALL.len()],
            sent: [0; MessageKind::ALL.len()],
            invalid: [0; Invalid::ALL.len()],
            not_for_us: 0,
            given_up: 0,
        }
    }
}

impl HostCounters {
    /// Messages of a kind that were taken.
    pub fn received(&self, kind: MessageKind) -> u64 {
        self.received[kind as usize]
    }

    /// Messages of a kind that we sent.
    pub fn sent(&self, kind: MessageKind) -> u64 {
        self.sent[kind as usize]
    }

    /// Packets that were dropped for a reason.
    pub fn invalid(&self, reason: Invalid) -> u64 {
        self.invalid[reason as usize]
    }

    pub(super) fn count_received(&mut self, kind: MessageKind) {
        self.received[kind as usize] += 1;
    }

    pub(super) fn count_sent(&mut self, kind: MessageKind) {
        self.sent[kind as usize] += 1;
    }

    pub(super) fn count_invalid(&mut self, reason: Invalid) {
        self.invalid[reason as usize] += 1;
    }
}
