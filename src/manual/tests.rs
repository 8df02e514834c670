//! The committed pages are current and complete.

use super::{completions, file, pages, programs};
use crate::config;
use crate::schema::tests::published;
use clap::Parser;

#[test]
fn the_published_pages_are_current() {
    for (name, text) in pages() {
        published(&format!("docs/man/{name}"), &text);
    }
}

#[test]
fn the_published_reference_is_current_and_complete() {
    let text = super::reference();
    published("docs/reference.md", &text);
    for reason in crate::types::DropReason::ALL {
        assert!(text.contains(&format!("- `{}`: ", reason.name())), "{reason:?}");
        assert!(reason.meaning().ends_with('.'), "{reason:?}");
    }
    for part in [
        "- `mtuPolicy` (",
        "- `--state-dir DIR` (or MCR_STATE_DIR): ",
        "- `3`: ",
        "- `MCR_SOCKET`: ",
    ] {
        assert!(text.contains(part), "no {part}");
    }
    for counter in ["kernelDropped", "superFrames", "joined", "wanted", "egressEvictions", "closes"]
    {
        assert!(text.contains(&format!("- `{counter}` (")), "no {counter}");
    }
}

fn page(name: &str) -> String {
    pages().into_iter().find(|(file, _)| file == name).expect("a page").1
}

#[test]
fn every_option_of_every_command_is_in_its_page() {
    for (program, section) in programs().into_iter().zip([8, 1, 1]) {
        let text = page(&format!("{}.{section}", program.get_name())).replace("\\-", "-");
        let mut commands = vec![program];
        let mut options = 0;
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                if let Some(long) = argument.get_long() {
                    assert!(text.contains(&format!("--{long}\\fR")), "no --{long}");
                    options += 1;
                }
            }
            for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
                assert!(
                    text.contains(&format!(" {}\"\n", below.get_name())),
                    "{}",
                    below.get_name()
                );
                commands.push(below.clone());
            }
        }
        assert!(options > 3, "{options}");
    }
}

#[test]
fn every_field_of_the_file_is_in_its_page() {
    let text = page("mcr.json5.5");
    let schema = crate::schema::file();
    let objects = schema["$defs"].as_object().expect("definitions").values().chain([&schema]);
    let mut fields = 0;
    for name in objects.filter_map(|object| object["properties"].as_object()).flat_map(|p| p.keys())
    {
        assert!(text.contains(&format!("\\fB{name}\\fR  (")), "no {name}");
        fields += 1;
    }
    assert!(fields > 80, "{fields}");
    for part in
        ["rules[].outputs[].rateLimit", "rules[].input.vlan", "igmp.interfaces[]", "pinning"]
    {
        let part = if part == "pinning" { "\\fBpinning\\fR" } else { part };
        assert!(text.contains(part), "no {part}");
    }
    assert!(text.contains("(number, 1 to 64)\nWorker threads"), "bounds stand beside the name");
}

#[test]
fn the_example_of_the_page_loads() {
    let loaded = config::load_text("example", file::EXAMPLE).expect("loads");
    assert_eq!(loaded.rules.len(), 1);
}

/// No line of ours is taken for a macro, and no minus becomes a hyphen.
#[test]
fn text_is_escaped() {
    assert_eq!(super::roff::escaped(".x -y\n'z \\ `k`"), "\\&.x \\-y\n\\&'z \\e k");
    for (name, text) in pages() {
        for line in text.lines() {
            let macro_name =
                line.strip_prefix('.').map(|rest| rest.split(' ').next().unwrap_or(rest));
            let known = ["TH", "SH", "SS", "PP", "TP", "br", "nf", "fi", "RS", "RE", "IP", "ft"];
            assert!(macro_name.is_none_or(|found| known.contains(&found)), "{name}: {line}");
        }
    }
}

#[test]
fn completions_know_programs_and_commands() {
    let files = completions();
    assert_eq!(files.len(), 9);
    for (path, text) in files {
        let name = path.rsplit('/').next().expect("a name");
        let program = name.trim_start_matches('_').trim_end_matches(".fish");
        assert!(text.contains(program), "{path}");
        let command = if program == "mcrgen" {
            "recv"
        } else if program == "mcrd" {
            "crd"
        } else {
            "mroute"
        };
        assert!(text.contains(command), "{path} knows no {command}");
    }
}

/// The unit's command is one that mcrd takes, and the file that it names is the package's.
#[test]
fn the_unit_starts_mcrd_with_the_packaged_file() {
    let unit = std::fs::read_to_string("deploy/systemd/mcrd.service").expect("the unit");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("ExecStart");
    let arguments = crate::daemon::arguments::Arguments::try_parse_from(command.split(' '));
    match arguments.expect("mcrd takes it").command {
        crate::daemon::arguments::Command::Run(run) => {
            assert_eq!(run.config.as_deref(), Some(std::path::Path::new("/etc/mcr/mcr.json5")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_packaged_file_loads_with_and_without_its_example() {
    let text = std::fs::read_to_string("deploy/mcr.json5").expect("the file");
    assert_eq!(config::load_text("mcr.json5", &text).expect("loads").rules, []);
    let (before, example) = text.split_once("exist yet.\n").expect("an example");
    let (example, after) = example.split_once("\n  ],").expect("its end");
    let example = example.replace("    // ", "    ");
    let after = after.replace("  // ", "  ");
    let loaded = config::load_text("mcr.json5", &format!("{before}\n{example}\n  ],{after}"));
    let loaded = loaded.expect("loads with its example");
    assert_eq!((loaded.rules.len(), loaded.rules[0].outputs.len()), (1, 2));
    assert!(loaded.file.dataplane.is_some() && loaded.file.log.is_some());
}
