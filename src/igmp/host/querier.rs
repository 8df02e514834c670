//! Which version we speak: that of the queriers heard (RFC 9776 section 7.2.1), or the one that was forced.

use crate::types::{HostMode, IgmpVersion, Time};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The robustness variable where no querier says one (RFC 9776 section 8.1).
pub(super) const ROBUSTNESS: u8 = 2;

/// The time between general queries that hosts are to assume (RFC 9776 sections 8.2 and 8.13).
const QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// The querier whose query was heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardQuerier {
    /// Where the query came from; 0.0.0.0 from a switch that queries without an address.
    pub address: Ipv4Addr,
    /// The version of the query.
    pub version: IgmpVersion,
    /// When it came.
    pub at: Time,
}

/// What queries have told us.
#[derive(Clone, Debug)]
pub(super) struct Queriers {
    forced: Option<IgmpVersion>,
    /// Until when a querier of version 1 is taken to be there.
    v1_until: Option<Time>,
    /// The same for version 2.
    v2_until: Option<Time>,
    robustness: u8,
    last: Option<HeardQuerier>,
}

impl Queriers {
    pub(super) fn new(mode: HostMode) -> Self {
        let mut queriers = Self {
            forced: None,
            v1_until: None,
            v2_until: None,
            robustness: ROBUSTNESS,
            last: None,
        };
        queriers.set_mode(mode);
        queriers
    }

    pub(super) fn set_mode(&mut self, mode: HostMode) {
        self.forced = match mode {
            HostMode::Forced(version) => Some(version),
            HostMode::Own | HostMode::Kernel => None,
        };
    }

    /// Takes what a query says; `robustness` and whether it is a general one.
    pub(super) fn heard(
        &mut self,
        querier: HeardQuerier,
        general: bool,
        max_response: Duration,
        robustness: u8,
    ) {
        self.last = Some(querier);
        // Section 8.13: the defaults are to be used, since these queries do not say their sender's values.
        let present = QUERY_INTERVAL * u32::from(ROBUSTNESS) + max_response.saturating_mul(10);
        let until = Some(querier.at.plus(present));
        match querier.version {
            IgmpVersion::V1 => self.v1_until = until,
            IgmpVersion::V2 if general => self.v2_until = until,
            IgmpVersion::V2 => {}
            // Section 4.1.6: zero = more than seven or unsaid, which is the default. One would be no repetition
            // at all, which section 8.1 advises against.
            IgmpVersion::V3 => self.robustness = robustness.max(ROBUSTNESS),
        }
    }

    /// The version we speak.
    pub(super) fn version(&self, now: Time) -> IgmpVersion {
        let runs = |until: Option<Time>| until.is_some_and(|until| until > now);
        match self.forced {
            Some(version) => version,
            None if runs(self.v1_until) => IgmpVersion::V1,
            None if runs(self.v2_until) => IgmpVersion::V2,
            None => IgmpVersion::V3,
        }
    }

    /// When the version may become a newer one.
    pub(super) fn next_change(&self, now: Time) -> Option<Time> {
        if self.forced.is_some() {
            return None;
        }
        [self.v1_until, self.v2_until].into_iter().flatten().filter(|until| *until > now).min()
    }

    /// How often a change is reported.
    pub(super) fn robustness(&self) -> u8 {
        self.robustness
    }

    pub(super) fn last(&self) -> Option<HeardQuerier> {
        self.last
    }
}
