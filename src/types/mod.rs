//! L0, the vocabulary: plain values that every other layer speaks. No I/O, no clock, no logging.

mod addr;
mod drop_reason;
mod few;
mod iface;
mod igmp;
mod input_filter;
mod limit;
mod membership;
mod net_event;
mod rule;
mod rule_id;
mod selector;
mod time;
mod worker_plan;

pub use addr::is_multicast;
pub use drop_reason::{DropReason, DropStage};
pub use few::Few;
pub use iface::{IfIndex, IfName, IfNameError, LinkLayer};
pub use igmp::{
    HostMode, IgmpConfig, IgmpSettings, IgmpVersion, LinkDrops, MembershipInterval, QuerierMode,
    Reception, SourceGroup, Transmit,
};
pub use input_filter::InputFilter;
pub use limit::Limit;
pub use membership::Membership;
pub use net_event::{Address, Link, NetEvent, NetSnapshot, Route};
pub use rule::{
    Destination, Dscp, Input, Join, LAST_RELAYED_TTL, MAX_BURST, MtuPolicy, Origin, Output,
    OutputSource, Port, PortRange, Protocol, Rule, SourceFilter, Ttl, UNSET_TTL, VlanFilter, When,
    relayed_ttl,
};
pub use rule_id::{RuleId, RuleIdError};
pub use selector::{Criteria, InterfaceSelector, MAX_PATTERN, NameGlob, NameRegex, PatternError};
pub use time::Time;
pub use worker_plan::WorkerPlan;
