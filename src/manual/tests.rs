//! The committed pages are current and complete.

use super::{completions, file, pages, programs};
use crate::config;
use crate::schema::tests::published;

#[test]
fn the_published_pages_are_current() {
    for (name, text) in pages() {
        published(&format!("docs/man/{name}"), &text);
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
