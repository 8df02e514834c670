//! What the relay says by itself when something has changed: one vocabulary for log lines and for
//! the control API's events.

use super::view::State;
use crate::types::{IfIndex, Membership, Origin, RuleId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// A rule, as notices name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleName {
    /// Its id.
    pub id: RuleId,
    /// `origin/name`, or `origin/id` where it has no name.
    pub rule: String,
    /// Who asked for it.
    pub origin: Origin,
}

/// An interface and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceState {
    /// Its name.
    pub interface: String,
    /// Its index.
    pub ifindex: IfIndex,
    /// Set up by the administrator.
    pub up: bool,
    /// The driver sees a carrier.
    pub carrier: bool,
}

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Notice {
    /// A rule is there.
    RuleAdded {
        /// Which.
        #[serde(flatten)]
        name: RuleName,
        /// What it does.
        state: State,
        /// Why it is pending.
        reason: Option<String>,
    },
    /// A rule is gone.
    RuleRemoved {
        /// Which.
        #[serde(flatten)]
        name: RuleName,
    },
    /// A rule has other contents under the same id; its counters start at zero.
    RuleChanged {
        /// Which.
        #[serde(flatten)]
        name: RuleName,
        /// What it does now.
        state: State,
        /// Why it is pending.
        reason: Option<String>,
    },
    /// A rule does something else now, or is pending for another reason.
    RuleState {
        /// Which.
        #[serde(flatten)]
        name: RuleName,
        /// What it did.
        from: State,
        /// What it does.
        to: State,
        /// Why it is pending.
        reason: Option<String>,
    },
    /// An interface is there.
    InterfaceAppeared(InterfaceState),
    /// An interface is gone; `up` and `carrier` are what they were.
    InterfaceGone(InterfaceState),
    /// An interface went up or down, gained or lost its carrier, or has another name.
    InterfaceChanged(InterfaceState),
    /// A worker runs.
    WorkerReady {
        /// Its number.
        worker: u32,
        /// How it does I/O.
        tier: String,
        /// Why not better.
        reason: Option<String>,
    },
    /// A worker died; it is started again.
    WorkerDied {
        /// Its number.
        worker: u32,
        /// Why.
        reason: String,
    },
    /// The data plane has ended by itself, with all workers; another is started.
    DataPlaneDied {
        /// What is known of it.
        reason: String,
    },
    /// Another data plane runs.
    DataPlaneRestarted {
        /// Its process.
        pid: u32,
        /// Milliseconds since the one before was missed.
        after_ms: u64,
    },
    /// Another data plane has taken over, as it was asked for.
    DataPlaneReplaced {
        /// Its process.
        pid: u32,
        /// Input ports that it was handed.
        ports: usize,
    },
    /// An input socket could not be opened or has failed; it is tried again.
    PortFailed {
        /// The interface.
        interface: String,
        /// Its index.
        ifindex: IfIndex,
        /// Why.
        reason: String,
    },
    /// The kernel refuses a membership; it is asked for again.
    MembershipRefused {
        /// The interface.
        interface: String,
        /// Its index.
        ifindex: IfIndex,
        /// The group.
        group: IpAddr,
        /// The source; none = every source.
        source: Option<IpAddr>,
        /// Why.
        reason: String,
    },
    /// The first member of a group is there on an interface.
    MemberJoined {
        /// The interface.
        interface: String,
        /// Its index.
        ifindex: IfIndex,
        /// The group.
        group: Ipv4Addr,
    },
    /// The last member of a group is gone from an interface.
    MemberLeft {
        /// The interface.
        interface: String,
        /// Its index.
        ifindex: IfIndex,
        /// The group.
        group: Ipv4Addr,
    },
    /// So many groups of an interface got or lost their members that they are not told one by one; those that
    /// were are not among them.
    MembersChanged {
        /// The interface.
        interface: String,
        /// Its index.
        ifindex: IfIndex,
        /// How often a first member came.
        joined: u64,
        /// How often a last member went.
        left: u64,
        /// How many groups have members now.
        groups: usize,
    },
    /// Another router of a link asks for its members from now on, or we do.
    QuerierChanged {
        /// The interface.
        interface: String,
        /// Its index.
        ifindex: IfIndex,
        /// Who asks; none = we do.
        querier: Option<Ipv4Addr>,
    },
    /// A router asks by another version of IGMP than we are set to: members may be heard by one of the two only.
    /// Told once a minute at most.
    QuerierVersionDiffers {
        /// The interface.
        interface: String,
        /// Its index.
        ifindex: IfIndex,
        /// Who.
        querier: Ipv4Addr,
        /// Its version.
        version: u8,
    },
    /// A table of members is full: what is new is refused and counted, what is there stays. Told once a minute at
    /// most.
    MemberLimitReached {
        /// The interface.
        interface: String,
        /// Its index.
        ifindex: IfIndex,
        /// The group that was refused, or of which sources were.
        group: Ipv4Addr,
        /// `group_limit` or `source_limit`.
        limit: String,
    },
    /// The rules of the configuration file are in force.
    ConfigurationLoaded {
        /// The file.
        file: String,
        /// How many rules it has.
        rules: usize,
    },
    /// The configuration file is wrong; the last good state stays.
    ConfigurationRefused {
        /// The file.
        file: String,
        /// Every mistake.
        mistakes: Vec<String>,
    },
    /// The file has settings that take effect at the next start.
    RestartNeeded {
        /// The sections that differ from those in force.
        sections: Vec<String>,
    },
    /// Other messages are logged from now on.
    LogLevelChanged {
        /// The filter.
        filter: String,
    },
    /// The rules of origin `runtime` could not be kept on disk; it is tried again.
    StateFileFailed {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The rules of origin `runtime` are kept on disk again.
    StateFileSaved {
        /// The file.
        path: String,
    },
    /// The relay stops. Nothing follows.
    Stopping,
}

impl Notice {
    /// A membership that the kernel refuses; `interface` is the name of its index.
    pub(super) fn refused(membership: &Membership, interface: String, reason: &str) -> Self {
        Self::MembershipRefused {
            interface,
            ifindex: membership.index,
            group: membership.group,
            source: membership.source,
            reason: reason.to_owned(),
        }
    }

    /// Where rules have changed: whose.
    pub fn changed_rules_of(&self) -> Option<Origin> {
        match self {
            Self::RuleAdded { name, .. }
            | Self::RuleRemoved { name }
            | Self::RuleChanged { name, .. } => Some(name.origin),
            _ => None,
        }
    }
}
