//! The relay daemon.

use clap::{Args, Parser, Subcommand};
use mcr::daemon::{self, Options, StartError};
use std::path::PathBuf;
use std::process::ExitCode;

/// Relays multicast from one network segment to others.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay in the foreground until SIGTERM or SIGINT; SIGHUP loads the file again.
    #[command(alias = "supervisor")]
    Run(Run),
}

#[derive(Args)]
struct Run {
    /// The JSON5 configuration file. A file with mistakes is refused as a whole, and every mistake
    /// is named.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not load the file again when it changes on disk; SIGHUP still does.
    #[arg(long)]
    no_watch: bool,
    /// Where rules added at run time are kept over restarts [default: the first directory of
    /// STATE_DIRECTORY, as systemd sets it; without it they are not kept]
    #[arg(long, value_name = "DIR", env = "MCR_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Where mcrctl finds the relay [default: as the file says, else /run/mcr/control.sock]
    #[arg(long, value_name = "PATH")]
    control_socket_path: Option<PathBuf>,
    /// error, warn, info, debug, trace, or a filter such as "info,mcr::netlink=debug" [default: as
    /// the file says, else info]
    #[arg(long, value_name = "LEVEL", env = "MCR_LOG")]
    log_level: Option<String>,
}

fn main() -> ExitCode {
    let Command::Run(run) = Arguments::parse().command;
    let options = Options {
        config: run.config,
        watch: !run.no_watch,
        state_dir: run.state_dir.or_else(systemds_state_directory),
        socket: run.control_socket_path,
        log_level: run.log_level,
    };
    match daemon::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(StartError::Config(mistakes)) => {
            eprintln!("mcrd: the configuration has mistakes:\n{mistakes}");
            ExitCode::from(1)
        }
        Err(StartError::Other(error)) => {
            eprintln!("mcrd: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// `StateDirectory=` of the unit; several are separated by colons (systemd.exec(5)).
fn systemds_state_directory() -> Option<PathBuf> {
    let list = std::env::var_os("STATE_DIRECTORY")?;
    std::env::split_paths(&list).find(|path| path.is_absolute())
}
