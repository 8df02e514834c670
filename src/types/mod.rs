//! L0, the vocabulary: plain values that every other layer speaks. No I/O, no clock, no logging.

mod addr;
mod drop_reason;
mod iface;
mod membership;
mod net_event;
mod rule;
mod time;

pub use addr::is_multicast;
pub use drop_reason::{DropReason, DropStage};
pub use iface::{IfIndex, IfName, IfNameError, LinkLayer};
pub use membership::Membership;
pub use net_event::{Address, Link, NetEvent, NetSnapshot, Route};
pub use rule::{
    Destination, Input, Origin, Output, Port, Rule, RuleId, RuleIdError, Ttl, UNSET_TTL,
};
pub use time::Time;
