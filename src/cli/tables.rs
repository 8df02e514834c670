//! Answers as tables for people. Names come from others: each passes through `shown`.

use super::columns::{Column, Columns, TIE};
use super::rates::{Totals, drops};
use super::rule_text::{endpoint, input, output, unchanged};
use super::text::shown;
use crate::api::v1::{
    InterfaceStatus, Mroute, MrouteEntry, MrouteOutput, OutputJson, PortKind, PortStatus, RuleJson,
    State, StatsJson, WorkerStatus,
};
use std::fmt::Display;

pub(super) fn rules(rules: &[RuleJson]) -> String {
    if rules.is_empty() {
        return "no rules; `mcrctl add` adds one\n".to_owned();
    }
    let mut table = Columns::new(&[
        Column::text("ID", 16),
        Column::text("NAME", 20),
        Column::text("ORIGIN", 8),
        Column::text("STATE", 8),
        Column::text("INPUT", 30),
        Column::text("OUTPUTS", 32),
    ]);
    for rule in rules {
        let outputs: Vec<String> = rule.outputs.iter().map(output).collect();
        table.row([
            shown(&rule.id),
            rule.name.as_deref().map_or_else(|| "-".to_owned(), shown),
            shown(rule.origin.split('/').next().unwrap_or_default()),
            state(rule.state).to_owned(),
            input(&rule.input),
            outputs.join("\n"),
        ]);
        if let Some(reason) = &rule.reason {
            table.note(format!("{}: {}", state(rule.state), shown(reason)));
        }
        for note in output_notes(rule) {
            table.note(note);
        }
    }
    table.render()
}

pub(super) fn stats(stats: &StatsJson) -> String {
    let mut out = String::new();
    if !stats.rules.is_empty() {
        let mut table = Columns::new(&[
            Column::text("RULE", 24),
            Column::text("STATE", 8),
            Column::text("WHERE", 32),
            Column::number("DATAGRAMS"),
            Column::number("BYTES"),
            Column::text("NOT SENT", 24),
        ]);
        for rule in &stats.rules {
            table.row([
                shown(&rule.origin),
                state(rule.state).to_owned(),
                format!("in {}", input(&rule.input)),
                rule.matched_datagrams.to_string(),
                rule.matched_bytes.to_string(),
                String::new(),
            ]);
            for o in &rule.outputs {
                table.row([
                    String::new(),
                    state(o.state).to_owned(),
                    format!("out {}", output(o)),
                    o.sent_datagrams.to_string(),
                    o.sent_bytes.to_string(),
                    drops(&o.drops).replace(", ", "\n"),
                ]);
            }
        }
        out.push_str(&table.render());
        out.push('\n');
    }
    let closed = &stats.closed_ports;
    if !stats.ports.is_empty() || closed.ports > 0 {
        let mut table = Columns::new(&[
            Column::text("PORT", 8),
            Column::text("INTERFACE", 30),
            Column::number("WORKER"),
            Column::number("KERNEL DROPS"),
            Column::number("FRAMES"),
            Column::number("DATAGRAMS"),
            Column::number("MATCHED"),
            Column::text("NOT MATCHED", 24),
        ]);
        for port in &stats.ports {
            table.row([
                port.port.to_string(),
                port_place(port),
                port.worker.to_string(),
                port.kernel_dropped.to_string(),
                port.frames.to_string(),
                port.datagrams.to_string(),
                port.matched.to_string(),
                drops(&port.drops).replace(", ", "\n"),
            ]);
        }
        if closed.ports > 0 {
            table.row([
                "-".to_owned(),
                format!("{}, closed", count(closed.ports, "port")),
                "-".to_owned(),
                closed.kernel_dropped.to_string(),
                closed.frames.to_string(),
                closed.datagrams.to_string(),
                closed.matched.to_string(),
                drops(&closed.drops).replace(", ", "\n"),
            ]);
        }
        out.push_str(&table.render());
        out.push('\n');
    }
    out.push_str(&Totals::of(stats).sentence());
    out.push('\n');
    out.push_str(&super::sentences::ledger(&stats.ledger));
    out
}

pub(super) fn workers(workers: &[WorkerStatus]) -> String {
    let mut table = Columns::new(&[
        Column::number("WORKER"),
        Column::text("CORE", 5),
        Column::text("STATE", 8),
        Column::text("I/O", 22),
        Column::number("GENERATION"),
        Column::number("PORTS"),
        Column::number("FRAMES"),
        Column::number("SENDS"),
        Column::number("SOCKETS"),
        Column::number("RESTARTS"),
    ]);
    for worker in workers {
        table.row([
            worker.worker.to_string(),
            worker.cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string()),
            if worker.running { "running" } else { "stopped" }.to_owned(),
            shown(&worker.tier),
            worker.generation.to_string(),
            worker.ports.to_string(),
            worker.frames.to_string(),
            worker.sends.to_string(),
            worker.egress_sockets.to_string(),
            worker.restarts.to_string(),
        ]);
        if let Some(reason) = &worker.tier_reason {
            table.note(format!("not the fastest I/O: {}", shown(reason)));
        }
        for note in &worker.notes {
            table.note(shown(note));
        }
        let rare = [
            (worker.egress_evictions, "sockets closed to make room for others"),
            (worker.buffers_exhausted, "times all receive buffers were in use"),
            (worker.stale_completions, "completions that belonged to nothing; please report this"),
        ];
        for (times, what) in rare.into_iter().filter(|(times, _)| *times > 0) {
            table.note(format!("{times} {what}"));
        }
    }
    table.render()
}

pub(super) fn interfaces(interfaces: &[InterfaceStatus]) -> String {
    let mut table = Columns::new(&[
        Column::number("INDEX"),
        Column::text("NAME", 16),
        Column::text("STATE", 10),
        Column::text("KIND", 10),
        Column::number("MTU"),
        Column::number("SHARDS"),
        Column::text("ADDRESSES", 20),
        Column::text("INPUT OF", 20),
        Column::text("OUTPUT OF", 20),
    ]);
    for interface in interfaces {
        let link = &interface.link;
        let mut names = vec![shown(link.name.as_str())];
        names.extend(link.alt_names.iter().map(|name| shown(name)));
        let state = match (link.up, link.carrier) {
            (true, true) => "up",
            (true, false) => "no carrier",
            (false, _) => "down",
        };
        table.row([
            link.index.to_string(),
            names.join("\n"),
            state.to_owned(),
            or_dash(shown(&link.kind)),
            link.mtu.to_string(),
            if interface.shards > 0 { interface.shards.to_string() } else { "-".to_owned() },
            lines(&interface.addresses),
            names_of(&interface.input_of),
            names_of(&interface.output_of),
        ]);
    }
    table.render()
}

pub(super) fn mroute(mroute: &Mroute) -> String {
    let mut out = format!("forwarding table, generation {}\n", mroute.generation);
    let mut table = Columns::new(&[
        Column::text("INPUT", 15),
        Column::text("SOURCE", 15),
        Column::text("GROUP", 22),
        Column::text("OUTPUTS", 32),
        Column::text("RULES", 24),
    ]);
    for entry in &mroute.entries {
        let outputs: Vec<String> = entry.outputs.iter().map(mroute_output).collect();
        table.row([
            shown(&entry.interface),
            any(entry.source.as_deref().map(shown)),
            mroute_group(entry),
            outputs.join("\n"),
            names_of(&entry.rules),
        ]);
    }
    out.push_str(&table.render());
    let mut table = Columns::new(&[
        Column::text("MEMBER ON", 15),
        Column::text("SOURCE", 15),
        Column::text("GROUP", 22),
        Column::text("JOINED", 6),
    ]);
    for membership in &mroute.memberships {
        table.row([
            shown(&membership.interface),
            any(membership.source.as_ref()),
            membership.group.to_string(),
            if membership.joined { "yes" } else { "no" }.to_owned(),
        ]);
        if let Some(reason) = &membership.reason {
            table.note(shown(reason));
        }
    }
    out.push('\n');
    out.push_str(&table.render());
    out
}

fn mroute_group(entry: &MrouteEntry) -> String {
    let port = entry.port.as_deref().map(shown);
    let mut text = endpoint(&shown(&entry.group), port.as_ref());
    if let Some(vlan) = &entry.vlan {
        text.push_str(&format!(" vlan{TIE}{}", shown(vlan)));
    }
    if entry.other_protocols {
        text.push_str(&format!(" not{TIE}udp"));
    }
    text
}

fn mroute_output(output: &MrouteOutput) -> String {
    let mut text = match &output.destination {
        Some(address) => endpoint(&shown(address), output.port.as_ref()),
        None => unchanged(output.port.as_ref()),
    };
    if let Some(interface) = &output.interface {
        text.push_str(&format!(" via{TIE}{}", shown(interface)));
    }
    text.push_str(&format!(" ttl{TIE}{}", shown(&output.ttl)));
    if let Some(dscp) = output.dscp {
        text.push_str(&format!(" dscp{TIE}{dscp}"));
    }
    if let Some(source) = &output.source {
        text.push_str(&format!(" source{TIE}{}", shown(source)));
    }
    if let Some(reason) = output.blocked {
        text.push_str(&format!(" blocked:{TIE}{}", reason.name()));
    }
    text
}

pub(super) fn port_place(port: &PortStatus) -> String {
    let kind = match port.kind {
        PortKind::Packet => "packet",
        PortKind::Udp => "udp",
    };
    match &port.local {
        Some(local) => format!("{} {kind} {}", shown(&port.interface), shown(local)),
        None if port.shard > 0 => format!("{} {kind} {}", shown(&port.interface), port.shard),
        None => format!("{} {kind}", shown(&port.interface)),
    }
}

pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Pending => "pending",
        State::Disabled => "disabled",
    }
}

/// `1 rule`, `2 rules`.
pub(super) fn count(n: impl Display, what: &str) -> String {
    match n.to_string().as_str() {
        "1" => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// The outputs that are pending for a reason of their own, and those that wait for members.
pub(super) fn output_notes(rule: &RuleJson) -> Vec<String> {
    let own = |o: &&OutputJson| o.reason.is_some() && o.reason != rule.reason;
    let note = |o: &OutputJson| {
        let reason = o.reason.as_deref().unwrap_or_default();
        format!("output {} is {}: {}", output(o), state(o.state), shown(reason))
    };
    let waiting = |o: &OutputJson| {
        let groups = o.joined_groups?;
        let what = match groups {
            0 => "waits for members".to_owned(),
            groups => format!("is sent to the members of {}", count(groups, "group")),
        };
        Some(format!("output {} {what}", output(o)))
    };
    let notes = rule.outputs.iter().filter(own).map(note);
    notes.chain(rule.outputs.iter().filter_map(waiting)).collect()
}

pub(super) fn titled(rule: &RuleJson) -> String {
    format!("{} ({})", shown(&rule.id), shown(&rule.origin))
}

fn any(source: Option<impl ToString>) -> String {
    source.map_or_else(|| "any".to_owned(), |source| source.to_string())
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn lines(items: &[impl ToString]) -> String {
    or_dash(items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn names_of(names: &[String]) -> String {
    lines(&names.iter().map(|name| shown(name)).collect::<Vec<_>>())
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
