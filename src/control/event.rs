//! What goes into the core and what it answers. Every event is serialisable: a recorded run can
//! be replayed.

use super::view;
use crate::fib::counters::{PortCounters, SlotCounters, WorkerCounters};
use crate::types::{IfIndex, IgmpConfig, LinkDrops, Membership, NetEvent, Origin, Rule};
use serde::{Deserialize, Serialize};

/// Something that a person or a program asks of the running relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Who are you?
    Ping,
    /// Add one rule of origin `runtime`. The same rule again, with the same id, is accepted and changes nothing.
    AddRule(Rule),
    /// Remove a rule of origin `runtime` by id, by name or by `runtime/name`.
    RemoveRule(String),
    /// All rules with state and counters.
    Rules,
    /// All counters.
    Stats,
    /// The workers.
    Workers,
    /// The interfaces.
    Interfaces,
    /// Forwarding entries and memberships.
    Mroute,
    /// Groups that have members, on the interface of this name or on all.
    IgmpGroups(Option<String>),
    /// Interfaces on which IGMP runs.
    IgmpInterfaces(Option<String>),
    /// What IGMP has counted there.
    IgmpStats(Option<String>),
    /// The rules as they were asked for: of one origin, or all.
    RuleSet(Option<Origin>),
    /// Make the rules of origin `runtime` these, all of them or none.
    ReplaceRules(Vec<Rule>),
    /// What a change would do; nothing is changed.
    DryRun(Change),
    /// What is logged?
    LogLevel,
    /// Log this from now on.
    SetLogLevel {
        /// A level, or a filter where there is no module.
        level: String,
        /// The module that it is for; none = everything.
        module: Option<String>,
    },
    /// Become the program that stands on disk now.
    Upgrade,
    /// Have the data plane replaced by one of the program that runs.
    UpgradeDataPlane,
}

/// A change of the rules of origin `runtime`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Change {
    /// As `AddRule`.
    Add(Rule),
    /// As `RemoveRule`.
    Remove(String),
    /// As `ReplaceRules`.
    Replace(Vec<Rule>),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// To `Ping`.
    Pong(view::Pong),
    /// To `AddRule` and `RemoveRule`: the rule as it is, or as it was when removed.
    Rule(Box<view::RuleStatus>),
    /// To `AddRule` where the same rule was there already: nothing changed.
    Unchanged(Box<view::RuleStatus>),
    /// To `Rules`.
    Rules(Vec<view::RuleStatus>),
    /// To `Stats`.
    Stats(Box<view::Stats>),
    /// To `Workers`.
    Workers(Vec<view::WorkerStatus>),
    /// To `Interfaces`.
    Interfaces(Vec<view::InterfaceStatus>),
    /// To `Mroute`.
    Mroute(view::Mroute),
    /// To `IgmpGroups`.
    IgmpGroups(Vec<view::IgmpGroup>),
    /// To `IgmpInterfaces`.
    IgmpInterfaces(Vec<view::IgmpInterface>),
    /// To `IgmpStats`.
    IgmpStats(Vec<view::IgmpStatistics>),
    /// To `RuleSet`.
    RuleSet(Vec<Rule>),
    /// To `ReplaceRules`, what was done; to `DryRun`, what would be done.
    Changes(Vec<view::RuleChange>),
    /// To `LogLevel` and `SetLogLevel`.
    LogLevel(view::LogLevel),
    /// To `Upgrade`: what is done at once.
    Upgrade(view::Upgrade),
    /// To `UpgradeDataPlane`: what was done.
    DataPlaneUpgrade(view::DataPlaneUpgrade),
}

/// Why a request was refused; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// No rule has this id or name.
    #[error("no rule has the id or name \"{0}\"; `mcrctl list` shows all rules")]
    NoSuchRule(String),
    /// Several rules answer to the name.
    #[error("\"{name}\" names several rules: {candidates}; say which one by its id")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The ids, separated by commas.
        candidates: String,
    },
    /// Another rule has the id, with other contents.
    #[error("rule id \"{id}\" is taken by {owner}; remove that rule first or choose another id")]
    IdTaken {
        /// The id.
        id: String,
        /// The rule that has it.
        owner: String,
    },
    /// Another rule of the origin has the name.
    #[error(
        "the name \"{name}\" is taken by rule {id}; remove that rule first or choose another name"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The rule that has it.
        id: String,
    },
    /// The rule belongs to another origin.
    #[error("rule {rule} belongs to origin \"{origin}\": {remedy}")]
    NotYours {
        /// The rule.
        rule: String,
        /// Who owns it.
        origin: Origin,
        /// How to change it there.
        remedy: String,
    },
    /// The table of rules is full.
    #[error("there are {limit} rules already, and that is the limit")]
    TooManyRules {
        /// The limit.
        limit: usize,
    },
    /// Rules of a set cannot be in force together with others.
    #[error("{}", several(.0))]
    Conflicts(Vec<Conflict>),
    /// What was asked for is not a log level.
    #[error("{0}")]
    BadLogLevel(String),
    /// The program on disk cannot take the place of the one that runs.
    #[error("no upgrade: {0}")]
    NoUpgrade(String),
    /// The daemon is stopping or did not answer in time.
    #[error("the relay is busy or stopping: {0}")]
    Unavailable(String),
}

/// One rule of a set that cannot be in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// Its place in the set, from 0.
    pub index: usize,
    /// The member of the rule that is taken: `id` or `name`.
    pub key: String,
    /// By whom, and what to do.
    pub text: String,
}

fn several(conflicts: &[Conflict]) -> String {
    match conflicts {
        [one] => one.text.clone(),
        all => format!("{} rules cannot be in force together with others", all.len()),
    }
}

/// Something that happened; the core's only input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// The network changed.
    Net(NetEvent),
    /// An origin's rules are now these, all of them.
    Rules {
        /// Whose.
        origin: Origin,
        /// The whole set.
        set: Vec<Rule>,
    },
    /// The sockets bound to an interface are dead though it seems to be there: another interface has
    /// its index now, and the change went unseen.
    InterfaceReplaced(IfIndex),
    /// Add one rule of origin `runtime`.
    AddRule(Rule),
    /// Remove a rule of origin `runtime`.
    RemoveRule(String),
    /// A port could not be opened.
    PortFailed {
        /// Its number.
        port: u32,
        /// Why.
        reason: String,
    },
    /// A worker has let go of a port.
    PortClosed {
        /// Its number.
        port: u32,
        /// Final.
        counters: PortCounters,
        /// Why, where we did not ask for it.
        failure: Option<String>,
    },
    /// The wanted memberships were asked of the kernel; these it refused.
    Memberships {
        /// With the reasons.
        failed: Vec<(Membership, String)>,
    },
    /// A worker runs.
    WorkerReady {
        /// Which.
        worker: u32,
        /// How it does I/O.
        tier: String,
        /// Why not better.
        reason: Option<String>,
        /// What else was asked for and could not be had.
        #[serde(default)]
        notes: Vec<String>,
    },
    /// Let there be so many workers that are bound to no core, 1 to 64.
    Workers(u32),
    /// A worker works by a table.
    Programmed {
        /// Which.
        worker: u32,
        /// The table's generation.
        generation: u64,
    },
    /// The data plane is gone, with all workers, ports and counters.
    DataPlaneDied {
        /// Why.
        reason: String,
    },
    /// Another data plane reads all ports and has the table; the workers of the one before have reported
    /// for the last time.
    DataPlaneReplaced,
    /// A worker that was too many has reported for the last time and ended.
    WorkerStopped {
        /// Which.
        worker: u32,
    },
    /// A worker is gone, and its counters with it; it is started again, and reads its ports again.
    WorkerDied {
        /// Which.
        worker: u32,
        /// Why.
        reason: String,
    },
    /// What a worker has counted since it started.
    Report(Box<WorkerReport>),
    /// What the file says about IGMP is this from now on.
    Igmp(IgmpConfig),
    /// An IGMP packet came from an interface's link.
    LinkPacket {
        /// The interface.
        index: IfIndex,
        /// The IPv4 packet, its header included.
        packet: Vec<u8>,
    },
    /// Packets of these interfaces' links were asked for; of these they cannot be had.
    Listeners {
        /// With the reasons.
        failed: Vec<(IfIndex, String)>,
    },
    /// Packets of an interface's link are lost.
    LinkDrops {
        /// The interface.
        index: IfIndex,
        /// How many since this was said last.
        drops: LinkDrops,
    },
    /// The time that `next_timeout` named has come.
    Timeout,
}

/// See [`Event::Report`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerReport {
    /// Which worker.
    pub worker: u32,
    /// The generation of the table by which it worked then.
    pub generation: u64,
    /// Its open ports.
    pub ports: Vec<(u32, PortCounters)>,
    /// Rules and outputs.
    pub slots: SlotCounters,
    /// Its own doings.
    pub counters: WorkerCounters,
}
