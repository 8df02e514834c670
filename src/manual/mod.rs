//! L5, man pages, completions and docs/reference.md, made of the command lines and of the schemas.
//!
//! They are committed under `docs`; a test compares, and `MCR_BLESS=1` writes them anew.

mod commands;
mod file;
mod markdown;
mod reference;
mod roff;
mod sheet;

#[cfg(test)]
mod tests;

use crate::{cli, daemon, traffic};
use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// mcrd's, mcrctl's and mcrgen's command lines.
fn programs() -> [Command; 3] {
    [daemon::arguments::Arguments::command(), cli::Args::command(), traffic::args::Cli::command()]
}

/// All man pages: the file's name, its text.
pub fn pages() -> Vec<(String, String)> {
    let [mcrd, mcrctl, mcrgen] = programs();
    vec![
        ("mcrd.8".to_owned(), commands::page(&mcrd, 8, commands::MCRD)),
        ("mcrctl.1".to_owned(), commands::page(&mcrctl, 1, commands::MCRCTL)),
        ("mcrgen.1".to_owned(), commands::page(&mcrgen, 1, commands::MCRGEN)),
        ("mcr.json5.5".to_owned(), file::page()),
    ]
}

/// docs/reference.md: every field, option, variable, exit code and counter.
pub fn reference() -> String {
    reference::page()
}

/// Completions of all programs under the names that bash, zsh and fish look for: the file's path, its
/// text.
pub fn completions() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for mut program in programs() {
        let name = program.get_name().to_owned();
        for (shell, path) in [
            (Shell::Bash, format!("bash/{name}")),
            (Shell::Zsh, format!("zsh/_{name}")),
            (Shell::Fish, format!("fish/{name}.fish")),
        ] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut program, &name, &mut text);
            files.push((path, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    files
}
