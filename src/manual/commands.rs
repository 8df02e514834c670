//! A page for a program: its options, each of its commands with theirs, and what clap does not know.

use super::roff::Page;
use super::sheet::Sheet;
use clap::Command;
use clap_mangen::Man;
use std::io;

/// Sections that follow the commands: a title and its entries, or paragraphs (entries without a term).
pub(super) type Sections = &'static [(&'static str, &'static [(&'static str, &'static str)])];

pub(super) const MCRD: Sections = &[
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "Loads the configuration file again. A file with mistakes changes nothing; each mistake \
                 is logged with its line.",
            ),
            ("SIGTERM, SIGINT", "Stop the relay."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "It was told to stop."),
            ("1", "It could not start, or the configuration has mistakes."),
            ("2", "Wrong usage."),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/mcr/mcr.json5", "The configuration file of the service; see mcr.json5(5)."),
            ("/run/mcr/control.sock", "The control socket; see mcrctl(1)."),
        ],
    ),
    (
        "CAPABILITIES",
        &[(
            "",
            "CAP_NET_RAW is needed to receive. With CAP_NET_ADMIN the buffers of sockets may be larger \
             than net.core.rmem_max and net.core.wmem_max; without it they are as large as these allow.",
        )],
    ),
    ("SEE ALSO", &[("", "mcrctl(1), mcrgen(1), mcr.json5(5)")]),
];

pub(super) const MCRCTL: Sections = &[
    (
        "EXIT STATUS",
        &[
            ("0", "Done."),
            ("1", "mcrd refused, a rule or a file is invalid, or the output could not be written."),
            ("2", "Wrong usage."),
            ("3", "No mcrd could be asked."),
        ],
    ),
    (
        "FILES",
        &[(
            "/run/mcr/control.sock",
            "The control socket of mcrd. Members of the group mcr may use it.",
        )],
    ),
    ("SEE ALSO", &[("", "mcrd(8), mcrgen(1), mcr.json5(5)")]),
];

pub(super) const MCRGEN: Sections = &[("SEE ALSO", &[("", "mcrd(8), mcrctl(1)")])];

/// The page of one program, in the section of the manual.
pub(super) fn page(program: &Command, section: u8, sections: Sections) -> String {
    let name = program.get_name();
    let mut page = Page::new(name, section);
    let man = Man::new(program.clone().disable_help_subcommand(true));
    page.raw(&rendered(|out| man.render_name_section(out)));
    page.raw(&rendered(|out| man.render_synopsis_section(out)));
    page.raw(&rendered(|out| man.render_description_section(out)));
    page.raw(&rendered(|out| man.render_options_section(out)));
    page.section("COMMANDS");
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        describe(command, name, &mut page);
    }
    if program.get_after_help().is_some() {
        page.section("NOTES");
        let help = program.get_after_help().map(ToString::to_string).unwrap_or_default();
        page.verbatim(&help);
    }
    for (title, entries) in sections {
        page.section(title);
        for (term, meaning) in *entries {
            match *term {
                "" => page.paragraph(meaning),
                term => page.entry(term, "", meaning),
            }
        }
    }
    page.text()
}

/// One command with its options, and those below it.
fn describe(command: &Command, parent: &str, page: &mut Page) {
    let whole = format!("{parent} {}", command.get_name());
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    page.part(&whole);
    let alone = command
        .clone()
        .bin_name(&whole)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .propagate_version(false);
    let man = Man::new(alone);
    page.raw(&without_heading(rendered(|out| man.render_synopsis_section(out))));
    page.raw(".PP\n");
    page.raw(&without_heading(rendered(|out| man.render_description_section(out))));
    if !aliases.is_empty() {
        page.paragraph(&format!("Also: {}", aliases.join(", ")));
    }
    if command.get_arguments().next().is_some() {
        page.raw(&without_heading(rendered(|out| man.render_options_section(out))));
    }
    if let Some(help) = command.get_after_help() {
        page.paragraph(&help.to_string());
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        describe(below, &whole, page);
    }
}

/// What clap_mangen writes, without the preamble that each piece of it has.
fn rendered(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = render(&mut text);
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.starts_with(".ie ") && !line.starts_with(".el "));
    lines.map(|line| format!("{}\n", line.replace("\\*(Aq", "\\(aq"))).collect()
}

fn without_heading(text: String) -> String {
    text.lines().filter(|line| !line.starts_with(".SH ")).map(|line| format!("{line}\n")).collect()
}
