//! `mcrctl monitor`: what changes, as it changes.

use super::args::OutputForm;
use super::commands::{Exit, Failure, print};
use super::tables::state;
use super::text::{shown, shown_json};
use crate::api::v1::{EventJson, InterfaceState, Notice, RuleName};
use crate::api::{Client, ClientError};
use serde_json::Value;
use std::io::Write;

pub(super) async fn run(
    client: &Client,
    form: OutputForm,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let mut stop = std::pin::pin!(super::commands::interrupted());
    let mut events = client.events().await?;
    loop {
        let line = tokio::select! {
            () = &mut stop => return Ok(Exit::Done),
            line = events.next() => line?,
        };
        let Some(line) = line else {
            return Err(ClientError::Unreachable("mcrd has ended the stream".into()).into());
        };
        if let Some(text) = text(&line, form)? {
            print(out, &text)?;
        }
    }
}

/// A line as it is printed; none for those that only say that the stream goes on.
fn text(line: &str, form: OutputForm) -> Result<Option<String>, ClientError> {
    let value: Value = serde_json::from_str(line)
        .map_err(|error| ClientError::Protocol(format!("an event is not JSON: {error}")))?;
    let event = value.get("event").and_then(Value::as_str).unwrap_or_default();
    if matches!(event, "alive" | "subscribed") {
        return Ok(None);
    }
    if form == OutputForm::Json {
        return Ok(Some(format!("{}\n", shown_json(line))));
    }
    if event == "lagged" {
        let lost = value.get("lost").and_then(Value::as_u64).unwrap_or_default();
        return Ok(Some(format!("{lost} events are lost: they came faster than they were read\n")));
    }
    // A newer daemon may say more than we know: then as it came.
    let words = match serde_json::from_value::<EventJson>(value) {
        Ok(event) => format!("{}  {}", shown(&event.time), words(&event.notice)),
        Err(_) => shown_json(line),
    };
    Ok(Some(format!("{words}\n")))
}

fn words(notice: &Notice) -> String {
    let because = |reason: &Option<String>| match reason {
        Some(reason) => format!(": {}", shown(reason)),
        None => String::new(),
    };
    let rule =
        |name: &RuleName| format!("rule {} ({})", shown(name.id.as_str()), shown(&name.rule));
    match notice {
        Notice::RuleAdded { name, state: is, reason } => {
            format!("{} added, {}{}", rule(name), state(*is), because(reason))
        }
        Notice::RuleRemoved { name } => format!("{} removed", rule(name)),
        Notice::RuleChanged { name, state: is, reason } => {
            format!("{} changed, {}{}", rule(name), state(*is), because(reason))
        }
        Notice::RuleState { name, from, to, reason } => {
            format!("{} was {}, is {}{}", rule(name), state(*from), state(*to), because(reason))
        }
        Notice::InterfaceAppeared(now) => interface(now, "appeared, "),
        Notice::InterfaceGone(now) => format!("interface {} is gone", shown(&now.interface)),
        Notice::InterfaceChanged(now) => interface(now, "is "),
        Notice::WorkerReady { worker, tier, reason } => {
            format!("worker {worker} runs, {}{}", shown(tier), because(reason))
        }
        Notice::WorkerDied { worker, reason } => {
            format!("worker {worker} died: {}", shown(reason))
        }
        Notice::DataPlaneDied { reason } => format!("the data plane died: {}", shown(reason)),
        Notice::DataPlaneRestarted { pid, after_ms } => {
            format!("the data plane was restarted after {after_ms} ms, as process {pid}")
        }
        Notice::DataPlaneReplaced { pid, ports } => {
            format!("the data plane was replaced by process {pid}, {ports} ports handed over")
        }
        Notice::PortFailed { interface, reason, .. } => {
            format!("input port on {} failed: {}", shown(interface), shown(reason))
        }
        Notice::MembershipRefused { interface, group, source, reason, .. } => {
            let source = source.map(|source| format!(" from {source}")).unwrap_or_default();
            let (interface, reason) = (shown(interface), shown(reason));
            format!("the kernel refuses {group}{source} on {interface}: {reason}")
        }
        Notice::MemberJoined { interface, group, .. } => {
            format!("{group} has members on {}", shown(interface))
        }
        Notice::MemberLeft { interface, group, .. } => {
            format!("{group} has no members on {} any more", shown(interface))
        }
        Notice::MembersChanged { interface, joined, left, groups, .. } => format!(
            "on {} {joined} groups got members and {left} lost them, {groups} have some",
            shown(interface)
        ),
        Notice::QuerierChanged { interface, querier, .. } => match querier {
            Some(querier) => format!("{querier} is the querier on {}", shown(interface)),
            None => format!("we are the querier on {}", shown(interface)),
        },
        Notice::QuerierVersionDiffers { interface, querier, version, .. } => format!(
            "{querier} on {} asks by IGMP version {version}, and we are set to another",
            shown(interface)
        ),
        Notice::MemberLimitReached { interface, group, limit, .. } => {
            format!("{group} on {} is refused: {}", shown(interface), shown(limit))
        }
        Notice::ConfigurationLoaded { file, rules } => {
            format!("{} loaded, {rules} rules", shown(file))
        }
        Notice::ConfigurationRefused { file, mistakes } => {
            let mut text = format!("{} not loaded, it has mistakes", shown(file));
            mistakes.iter().for_each(|mistake| text.push_str(&format!("\n    {}", shown(mistake))));
            text
        }
        Notice::RestartNeeded { sections } => {
            format!("{} take effect at the next start", shown(&sections.join(", ")))
        }
        Notice::LogLevelChanged { filter } => format!("log level is {}", shown(filter)),
        Notice::StateFileFailed { path, reason } => {
            format!("run-time rules are not kept in {}: {}", shown(path), shown(reason))
        }
        Notice::StateFileSaved { path } => format!("run-time rules are kept in {}", shown(path)),
        Notice::Stopping => "mcrd stops".to_owned(),
    }
}

fn interface(state: &InterfaceState, what: &str) -> String {
    let how = match (state.up, state.carrier) {
        (true, true) => "up",
        (true, false) => "up without carrier",
        (false, _) => "down",
    };
    format!("interface {} ({}) {what}{how}", shown(&state.interface), state.ifindex)
}
