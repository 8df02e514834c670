//! L5, mcrctl: commands, tables, JSON.
//!
//! Exit codes: 0 done, 1 refused by the daemon, an invalid rule, or a difference found by
//! `config diff`, 2 wrong usage, 3 no daemon could
//! be asked.

mod args;
mod columns;
mod commands;
mod config_args;
mod config_commands;
mod difference;
mod igmp_tables;
mod json5;
mod monitor;
mod offline;
mod rates;
mod rule_text;
mod sentences;
mod tables;
mod text;
mod upgrade;

pub use args::{Args, Command, IgmpCommand, ImportFrom, OnInterface, OutputForm};
pub use commands::{Exit, run};
pub use config_args::{ConfigCommand, LogLevelCommand};

use clap::Parser;
use std::process::ExitCode;

/// What the binary `mcrctl` does: parses the process's arguments, runs the command, says how it
/// ended. Wrong usage ends the process with 2 here.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mcrctl: cannot start: {error}");
            return Exit::Unreachable.into();
        }
    };
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    runtime.block_on(run(&args, &mut out, &mut err)).into()
}
