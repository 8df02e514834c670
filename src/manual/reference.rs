//! docs/reference.md: every field, option, environment variable, exit code and counter, from where
//! they are defined.

use super::commands::{MCRCTL, MCRD, Sections};
use super::file::fields;
use super::markdown::Page;
use super::programs;
use super::sheet::Sheet;
use crate::schema;
use crate::types::{DropReason, DropStage};
use clap::{Arg, Command};
use serde_json::{Map, Value};

const INTRODUCTION: &str = "Made of the definitions in the code by a test; what they are good for is in the \
                            [guide](guide.md). The same texts are in the man pages (`man/`), the JSON Schemas and \
                            the OpenAPI document (`schema/`).";

/// Variables that are not options of a command line.
const VARIABLES: [(&str, &str); 3] = [
    (
        "STATE_DIRECTORY",
        "Set by systemd (`StateDirectory=`): where `mcrd run` keeps run-time rules unless \
                         `--state-dir` says otherwise.",
    ),
    (
        "NOTIFY_SOCKET",
        "Set by systemd (`Type=notify`): where mcrd says that it is ready, reloads, stops.",
    ),
    (
        "WATCHDOG_USEC",
        "Set by systemd (`WatchdogSec=`): mcrd's event loop gives a sign of life twice as often.",
    ),
];

/// The page.
pub(super) fn page() -> String {
    let mut page = Page::new("Reference");
    page.paragraph(INTRODUCTION);
    page.section("Configuration file");
    let file = schema::file();
    let definitions = file["$defs"].as_object().cloned().unwrap_or_default();
    fields("The file", &file, definitions, "#/$defs/", &mut page);
    for program in programs() {
        let name = program.get_name().to_owned();
        page.section(&name);
        page.paragraph(&about(&program));
        options(&program, &mut page);
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            describe(command, &name, &mut page);
        }
    }
    exit_codes(&mut page);
    environment(&mut page);
    drops(&mut page);
    counters(&mut page);
    page.text()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn describe(command: &Command, parent: &str, page: &mut Page) {
    let whole = format!("{parent} {}", command.get_name());
    page.part(&whole);
    page.paragraph(&about(command));
    options(command, page);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        describe(below, &whole, page);
    }
}

fn options(command: &Command, page: &mut Page) {
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        page.entry(&term(argument), &beside(argument), &help(argument));
    }
}

fn help(argument: &Arg) -> String {
    argument.get_help().map(ToString::to_string).unwrap_or_default()
}

/// `-o, --output <OUTPUT>`.
fn term(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let values: Vec<String> = match argument.get_action().takes_values() {
        true => {
            argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect()
        }
        false => Vec::new(),
    };
    let value = values.join(" ");
    match (names.is_empty(), value.is_empty()) {
        (true, _) => value,
        (false, true) => names.join(", "),
        (false, false) => format!("{} {value}", names.join(", ")),
    }
}

/// What the value can be where it is not given, and where else it comes from.
fn beside(argument: &Arg) -> String {
    let mut parts = Vec::new();
    let words: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|value| value.get_name().to_owned())
        .collect();
    if !words.is_empty() {
        parts.push(words.join(", "));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        parts.push(format!("default {}", defaults.join(" ")));
    }
    if let Some(variable) = argument.get_env() {
        parts.push(format!("or {}", variable.to_string_lossy()));
    }
    if parts.is_empty() { String::new() } else { format!("({})", parts.join("; ")) }
}

fn exit_codes(page: &mut Page) {
    page.section("Exit codes");
    for (program, sections) in [("mcrd", MCRD), ("mcrctl", MCRCTL)] {
        page.part(&format!("Exit codes of {program}"));
        let of_status =
            |sections: Sections| sections.iter().find(|(title, _)| *title == "EXIT STATUS");
        for (code, meaning) in of_status(sections).map_or(&[][..], |(_, entries)| *entries) {
            page.entry(code, "", meaning);
        }
    }
}

fn environment(page: &mut Page) {
    page.section("Environment variables");
    for program in programs() {
        let mut commands = vec![(program.get_name().to_owned(), program.clone())];
        while let Some((name, command)) = commands.pop() {
            for argument in command.get_arguments() {
                if let (Some(variable), Some(long)) = (argument.get_env(), argument.get_long()) {
                    let meaning = format!("As `--{long}` of `{name}`.");
                    page.entry(&variable.to_string_lossy(), "", &meaning);
                }
            }
            for below in command.get_subcommands() {
                commands.push((format!("{name} {}", below.get_name()), below.clone()));
            }
        }
    }
    for (name, meaning) in VARIABLES {
        page.entry(name, "", meaning);
    }
}

fn drops(page: &mut Page) {
    page.section("Drop reasons");
    for (stage, title) in [
        (DropStage::Port, "Counted in frames, before a frame is looked at"),
        (DropStage::Frame, "Counted in frames, while a frame is decoded"),
        (DropStage::Lookup, "Counted in datagrams, after decoding"),
        (DropStage::Output, "Counted in copies, for each output"),
    ] {
        page.part(title);
        for reason in DropReason::ALL.iter().filter(|reason| reason.stage() == stage) {
            page.entry(reason.name(), "", reason.meaning());
        }
    }
}

/// The answers of the control API that hold counters and states.
fn counters(page: &mut Page) {
    page.section("Counters and states in JSON");
    let document = schema::openapi();
    let schemas: Map<String, Value> =
        document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    for (name, title) in [
        ("StatsJson", "mcrctl stats"),
        ("RuleJson", "mcrctl list, each rule"),
        ("WorkerStatus", "mcrctl list-workers, each worker"),
        ("InterfaceStatus", "mcrctl interfaces, each interface"),
        ("Mroute", "mcrctl mroute"),
        ("IgmpGroup", "mcrctl igmp groups, each group"),
        ("IgmpInterface", "mcrctl igmp interfaces, each interface"),
        ("IgmpStatistics", "mcrctl igmp stats, each interface"),
        ("Pong", "mcrctl ping"),
    ] {
        let schema = schemas.get(name).cloned().unwrap_or_default();
        fields(title, &schema, schemas.clone(), "#/components/schemas/", page);
    }
}
