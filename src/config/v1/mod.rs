//! Version 1 of the configuration schema: the file, a rule in the control API, and the spec of a
//! `MulticastRoute` are these types.
//!
//! Everything is optional here: what is missing is found by validation, together with all other
//! mistakes. The doc comment of a field is its description in the schema.

mod bounded;
mod file;
mod interface;
mod output;
mod protocols;
mod rate;
mod rule;
mod union;

pub use bounded::Bounded;
pub use file::{
    ControlSpec, DataplaneSpec, File, Io, LogFormat, LogLevel, LogSpec, MetricsSpec, Sched,
};
pub use interface::InterfaceSelector;
pub use output::{MtuPolicy, OutputSpec, RateLimit, When};
pub use protocols::{
    HostVersion, Igmp, IgmpHost, IgmpInterface, MembershipInterval, Msdp, MsdpPeer, Pim,
    PimInterface, Querier, Reports, SptSwitchover, StaticJoin, StaticRp,
};
pub use rate::BitRate;
pub use rule::{Health, InputSpec, Join, LinkLocal, PortRange, Protocol, RuleSpec, SourceFilter};
pub use union::{
    Dscp, DscpMode, DscpObject, OutputSource, OutputSourceMode, OutputSourceObject, Ttl, TtlMode,
    TtlObject, Vlan, VlanMode, VlanObject,
};
