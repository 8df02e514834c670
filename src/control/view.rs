//! What can be seen from outside: plain values that the control API turns into JSON.

mod igmp;

pub use super::ledger::{Ledger, Sum, SumKind};
pub use igmp::{
    FilterMode, IgmpGroup, IgmpHostSide, IgmpInterface, IgmpRouterSide, IgmpSource, IgmpStatistics,
    QuerierState,
};

use crate::types::{DropReason, IfIndex, Limit, Link, Rule, RuleId, Time};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Datagrams and their UDP payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Datagrams; a super-frame counts as the datagrams that it carries.
    pub datagrams: u64,
    /// UDP payload bytes.
    pub bytes: u64,
}

/// Named drops that are not zero.
pub type Drops = BTreeMap<DropReason, u64>;

/// What a rule or an output is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It forwards what arrives.
    Active,
    /// Asked for, not possible yet; the reason stands beside it.
    Pending,
    /// `enabled: false`.
    Disabled,
}

/// One output of a rule and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatus {
    /// Active, or pending with a reason.
    pub state: State,
    /// Why it is pending; where it is active, what may be wrong.
    pub reason: Option<String>,
    /// The interfaces it resolved to; empty where there are none or routing decides.
    pub interfaces: Vec<IfIndex>,
    /// Copies that should have been sent.
    pub wanted: u64,
    /// Copies that the kernel took.
    pub sent: Traffic,
    /// Copies that were not sent, by reason; `wanted` = `sent` + all of them.
    pub drops: Drops,
    /// Where it waits for members: how many groups have some, over all of its interfaces.
    pub joined_groups: Option<usize>,
}

/// One rule, its state and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    /// What was asked for.
    pub rule: Arc<Rule>,
    /// Active where the input is bound and one output at least can send.
    pub state: State,
    /// Why it is pending, or what does not work of it.
    pub reason: Option<String>,
    /// Datagrams that matched.
    pub matched: Traffic,
    /// One entry for each of `rule.outputs`, in their order.
    pub outputs: Vec<OutputStatus>,
}

/// How packets come in at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortKind {
    /// An AF_PACKET socket: everything for the groups that rules take on this interface.
    Packet,
    /// A bound UDP socket: a unicast address and port of ours.
    Udp,
}

/// One bound input socket and where its frames went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortStatus {
    /// The port's number, unique over the life of the process.
    pub port: u32,
    /// How packets come in.
    pub kind: PortKind,
    /// The interface.
    pub index: IfIndex,
    /// The interface's name.
    pub interface: String,
    /// Which shard of the interface, from 0.
    #[serde(default)]
    pub shard: u32,
    /// The address and UDP port of a `udp` port.
    pub local: Option<String>,
    /// The worker that reads it.
    pub worker: u32,
    /// Frames that the kernel queued or dropped (PACKET_STATISTICS tp_packets; includes
    /// `kernelDropped`). For `udp`, where the kernel counts drops only: `frames` + `kernelDropped`.
    pub kernel_received: u64,
    /// Frames that the kernel dropped because the socket's buffer was full.
    pub kernel_dropped: u64,
    /// Frames that the worker took.
    pub frames: u64,
    /// Of those, frames that carried several datagrams (GSO or GRO).
    pub super_frames: u64,
    /// Of those, frames whose UDP checksum was still to be filled in (CHECKSUM_PARTIAL).
    pub partial_checksums: u64,
    /// Frames that were decoded by themselves.
    pub whole: u64,
    /// Fragments that became part of a datagram.
    pub joined: u64,
    /// Fragments that wait for the rest of their datagram.
    pub held: u64,
    /// Datagrams in the frames that were decoded; one that came in fragments is one.
    pub datagrams: u64,
    /// Datagrams that some rule matched.
    pub matched: u64,
    /// Frames and datagrams that no rule got, by reason.
    pub drops: Drops,
}

/// One interface as the relay sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceStatus {
    /// The kernel's view.
    pub link: Link,
    /// Its addresses.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<IpNet>,
    /// Into how many shards it is divided; 0 = no rule takes packets from it by a `packet` port.
    #[serde(default)]
    pub shards: u32,
    /// Rules that take packets from it.
    pub input_of: Vec<String>,
    /// Rules that send packets to it.
    pub output_of: Vec<String>,
}

/// One worker thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    /// Its number, from 0.
    pub worker: u32,
    /// How it does I/O: `io_uring-multishot` or `syscalls`.
    pub tier: String,
    /// Why it is not the best tier; none where it is.
    pub tier_reason: Option<String>,
    /// The core that it is to be bound to; none = any.
    #[serde(default)]
    pub cpu: Option<u32>,
    /// What else was asked for and could not be had, such as the core or the scheduling class.
    #[serde(default)]
    pub notes: Vec<String>,
    /// False after the worker died and before it runs again.
    pub running: bool,
    /// The forwarding table's generation that it works by.
    pub generation: u64,
    /// Ports that it reads.
    pub ports: u32,
    /// How often it woke up or went round.
    pub turns: u64,
    /// Frames that it took.
    pub frames: u64,
    /// Copies that it handed to the kernel.
    pub sends: u64,
    /// Sockets that it holds to send from, one for each incoming source address and port.
    pub egress_sockets: u32,
    /// Egress sockets closed to make room for others.
    pub egress_evictions: u64,
    /// Times that all receive buffers were in use.
    pub buffers_exhausted: u64,
    /// Completions that belonged to nothing: always 0 unless we have a bug.
    pub stale_completions: u64,
    /// How often it was started again after a panic.
    pub restarts: u64,
}

/// One upstream membership that rules need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MembershipStatus {
    /// The interface.
    pub index: IfIndex,
    /// The interface's name.
    pub interface: String,
    /// The group.
    pub group: IpAddr,
    /// The source of a source-specific membership.
    pub source: Option<IpAddr>,
    /// Whether the kernel took it.
    pub joined: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// One output of a forwarding entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MrouteOutput {
    /// The outgoing interface; none where routing decides.
    pub interface: Option<String>,
    /// Where the copy goes: an address, or a prefix that the last bits of the packet's destination
    /// are put behind; none = unchanged.
    pub destination: Option<String>,
    /// Its UDP port; none = unchanged.
    pub port: Option<u16>,
    /// "16", "decrement" or "keep".
    pub ttl: String,
    /// Its DSCP; none = unchanged.
    pub dscp: Option<u8>,
    /// The source address that receivers see, with a port where that is fixed; "keep" = the
    /// packet's own; none = the kernel chooses.
    pub source: Option<String>,
    /// The most that its output sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Limit>,
    /// Datagrams of one train at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u8>,
    /// Why copies are dropped here now.
    pub blocked: Option<DropReason>,
}

/// One compiled forwarding entry, as the workers have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MrouteEntry {
    /// The incoming interface.
    pub interface: String,
    /// The VLAN, or "other" for all that have no entries of their own; none = untagged.
    pub vlan: Option<String>,
    /// Address or prefix; none = every source that has no entry of its own.
    pub source: Option<String>,
    /// The group or prefix of groups, a broadcast address, or a unicast address of ours.
    pub group: String,
    /// A UDP port or a range; none = every port.
    pub port: Option<String>,
    /// True: for protocols other than UDP.
    pub other_protocols: bool,
    /// Rules behind it.
    pub rules: Vec<String>,
    /// Its outputs.
    pub outputs: Vec<MrouteOutput>,
}

/// The whole forwarding state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mroute {
    /// The table's generation.
    pub generation: u64,
    /// Most specific first within a group.
    pub entries: Vec<MrouteEntry>,
    /// What we asked for upstream.
    pub memberships: Vec<MembershipStatus>,
}

/// Counters of everything: enough to say where a packet went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// When the counters were read.
    pub at: Time,
    /// Input sockets.
    pub ports: Vec<PortStatus>,
    /// Sums over input sockets that are closed by now.
    pub closed_ports: ClosedPorts,
    /// Rules.
    pub rules: Vec<RuleStatus>,
    /// Workers.
    pub workers: Vec<WorkerStatus>,
    /// Whether all of it adds up.
    pub ledger: Ledger,
}

/// What input sockets counted before they were closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClosedPorts {
    /// How many were closed.
    pub ports: u64,
    /// Frames that the kernel queued or dropped.
    pub kernel_received: u64,
    /// Frames that the kernel dropped.
    pub kernel_dropped: u64,
    /// Frames that workers took.
    pub frames: u64,
    /// Frames that were decoded by themselves.
    pub whole: u64,
    /// Fragments that became part of a datagram.
    pub joined: u64,
    /// Datagrams in them.
    pub datagrams: u64,
    /// Datagrams that some rule matched.
    pub matched: u64,
    /// Named drops.
    pub drops: Drops,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pong {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// The forwarding table's generation.
    pub generation: u64,
    /// Rules known.
    pub rules: usize,
    /// The file that keeps rules of origin `runtime` over restarts; none = they are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_file: Option<StateFileStatus>,
}

/// A daemon that is replaced by another program in the same process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// The version that ran.
    pub from: String,
    /// The version that runs from now on.
    pub to: String,
    /// The program's file.
    pub program: String,
    /// The process, which stays.
    pub pid: u32,
}

/// A data plane that has taken over from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataPlaneUpgrade {
    /// The version of the one before.
    pub from: String,
    /// Its version.
    pub to: String,
    /// Its process.
    pub pid: u32,
    /// Input ports that were handed over.
    pub ports: usize,
    /// Milliseconds from the question until it reads all ports.
    pub milliseconds: u64,
}

/// The file that keeps rules of origin `runtime`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateFileStatus {
    /// Its path.
    pub path: String,
    /// True where the file has the rules that are in force.
    pub saved: bool,
    /// Why the last attempt to write it failed.
    pub error: Option<String>,
}

/// What happened, or would happen, to a rule.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It has other contents under the same id; its counters start at zero.
    Changed,
    /// It was there already and keeps its counters.
    Unchanged,
}

/// One rule in a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleChange {
    /// What happened to it.
    pub change: ChangeKind,
    /// Its id.
    pub id: RuleId,
    /// `origin/name`, or `origin/id`.
    pub rule: String,
    /// What it does then; none for a rule that is removed.
    pub state: Option<State>,
    /// Why it is pending.
    pub reason: Option<String>,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLevel {
    /// For everything but `modules`: off, error, warn, info, debug or trace.
    pub level: String,
    /// Modules with a level of their own.
    pub modules: BTreeMap<String, String>,
    /// Both as one filter: `info,mcr::netlink=debug`.
    pub filter: String,
    /// Who set it: `file`, `commandLine` or `runtime`. A reload of the file changes the first only.
    pub set_by: String,
}
