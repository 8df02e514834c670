//! What the core says goes two ways: into the log and to who listens at the control socket.

use crate::control::notice::{InterfaceState, Notice, RuleName};
use crate::control::view::State;
use tracing::{debug, error, info, warn};

/// More notices at once are counted in the log, and told one by one at level debug only: a file with
/// thousands of rules, a host with thousands of interfaces.
const ONE_BY_ONE: usize = 50;

/// Logs what has changed at once.
pub(super) fn log(notices: &[Notice]) {
    let many = notices.len() > ONE_BY_ONE;
    if many {
        info!(notices = notices.len(), "much has changed; level debug tells each of it");
    }
    for notice in notices {
        log_one(notice, many);
    }
}

/// A line at level info, or debug where there are many.
macro_rules! change {
    ($many:expr, $($rest:tt)+) => {
        if $many { debug!($($rest)+) } else { info!($($rest)+) }
    };
}

fn log_one(notice: &Notice, many: bool) {
    match notice {
        Notice::RuleAdded { name: RuleName { id, rule, .. }, state, reason } => {
            change!(many, %id, rule, state = word(*state), reason, "rule added");
        }
        Notice::RuleRemoved { name: RuleName { id, rule, .. } } => {
            change!(many, %id, rule, "rule removed");
        }
        Notice::RuleChanged { name: RuleName { id, rule, .. }, state, reason } => {
            change!(many, %id, rule, state = word(*state), reason, "rule changed");
        }
        Notice::RuleState { name: RuleName { id, rule, .. }, from, to, reason } => {
            change!(many, %id, rule, from = word(*from), to = word(*to), reason, "rule has another state");
        }
        Notice::InterfaceAppeared(state) => interface(state, "interface appeared"),
        Notice::InterfaceGone(state) => interface(state, "interface gone"),
        Notice::InterfaceChanged(state) => interface(state, "interface changed"),
        Notice::WorkerReady { worker, tier, reason: None } => info!(worker, tier, "worker runs"),
        Notice::WorkerReady { worker, tier, reason } => {
            warn!(worker, tier, reason, "worker runs without io_uring: slower");
        }
        Notice::WorkerDied { worker, reason } => error!(worker, error = reason, "worker died"),
        Notice::DataPlaneDied { reason } => error!(error = reason, "data plane died"),
        Notice::DataPlaneRestarted { pid, after_ms } => {
            warn!(pid, after_ms, "data plane restarted");
        }
        Notice::DataPlaneReplaced { pid, ports } => info!(pid, ports, "data plane replaced"),
        Notice::PortFailed { interface: iface, ifindex, reason } => {
            warn!(iface, ifindex = ifindex.0, error = reason, "input port failed");
        }
        Notice::MembershipRefused { interface: iface, ifindex, group, source, reason } => {
            let (ifindex, source) = (ifindex.0, source.map(tracing::field::display));
            warn!(iface, ifindex, %group, source, error = reason, "the kernel refuses a membership");
        }
        // Members come and go all the time: who wants to know each listens to events.
        Notice::MemberJoined { interface: iface, ifindex, group } => {
            debug!(iface, ifindex = ifindex.0, %group, "first member joined");
        }
        Notice::MemberLeft { interface: iface, ifindex, group } => {
            debug!(iface, ifindex = ifindex.0, %group, "last member left");
        }
        Notice::MembersChanged { interface: iface, ifindex, joined, left, groups } => {
            debug!(iface, ifindex = ifindex.0, joined, left, groups, "members changed");
        }
        Notice::QuerierChanged { interface: iface, ifindex, querier } => {
            let querier = querier.map(tracing::field::display);
            info!(iface, ifindex = ifindex.0, querier, "querier changed");
        }
        Notice::QuerierVersionDiffers { interface: iface, ifindex, querier, version } => {
            let ifindex = ifindex.0;
            warn!(iface, ifindex, %querier, version, "a querier speaks another version of IGMP");
        }
        Notice::MemberLimitReached { interface: iface, ifindex, group, limit } => {
            warn!(iface, ifindex = ifindex.0, %group, limit, "a membership is refused");
        }
        Notice::ConfigurationLoaded { file, rules } => info!(file, rules, "configuration loaded"),
        Notice::ConfigurationRefused { file, mistakes } => {
            for error in mistakes {
                error!(error, "configuration is wrong");
            }
            let mistakes = mistakes.len();
            error!(file, mistakes, "configuration not loaded, the last good one stays");
        }
        Notice::RestartNeeded { sections } => {
            warn!(sections = sections.join(", "), "settings take effect at the next start");
        }
        Notice::LogLevelChanged { filter } => info!(filter, "log level changed"),
        Notice::StateFileFailed { path, reason } => {
            warn!(file = path, error = reason, "run-time rules are not kept on disk");
        }
        Notice::StateFileSaved { path } => info!(file = path, "run-time rules are kept on disk"),
        Notice::Stopping => info!("stopping"),
    }
}

fn interface(state: &InterfaceState, what: &'static str) {
    let InterfaceState { interface: iface, ifindex, up, carrier } = state;
    debug!(iface, ifindex = ifindex.0, up, carrier, "{what}");
}

const fn word(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Pending => "pending",
        State::Disabled => "disabled",
    }
}
