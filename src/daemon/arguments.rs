//! mcrd's command line, apart from the binary so that man pages and completions are made of it.

use super::Options;
use crate::schema::Kind;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Relays multicast from one network segment to others.
#[derive(Clone, Debug, Parser)]
#[command(name = "mcrd", version, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the relay in the foreground until SIGTERM or SIGINT; SIGHUP loads the file again.
    #[command(alias = "supervisor")]
    Run(Run),
    /// Print a schema: of the configuration file, of one rule, or of the control API.
    Schema {
        /// What the schema is of.
        #[arg(long, value_enum, default_value = "file")]
        kind: Kind,
    },
    /// Print the CustomResourceDefinition of MulticastRoute, for `kubectl apply -f -`.
    Crd {
        /// Print JSON instead of YAML.
        #[arg(long)]
        json: bool,
    },
    /// Forward packets for `mcrd run`, which starts it with its socket as standard input.
    #[command(hide = true)]
    Dataplane,
    /// Write the man pages of all programs and of the configuration file, for packages.
    #[command(hide = true)]
    Man {
        /// The folder to write to; it is made where it is missing.
        folder: PathBuf,
    },
    /// Write the completions of all programs for bash, zsh and fish, for packages.
    #[command(hide = true)]
    Completions {
        /// The folder to write to; it is made where it is missing.
        folder: PathBuf,
    },
}

/// Options of `mcrd run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The JSON5 configuration file. A file with mistakes is refused as a whole, and every mistake
    /// is named.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Do not load the file again when it changes on disk; SIGHUP still does.
    #[arg(long)]
    pub no_watch: bool,
    /// Where rules added at run time are kept over restarts [default: the first directory of
    /// STATE_DIRECTORY, as systemd sets it; without it they are not kept]
    #[arg(long, value_name = "DIR", env = "MCR_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where mcrctl finds the relay [default: as the file says, else /run/mcr/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control_socket_path: Option<PathBuf>,
    /// error, warn, info, debug, trace, or a filter such as "info,mcr::netlink=debug" [default: as
    /// the file says, else info]
    #[arg(long, value_name = "LEVEL", env = "MCR_LOG")]
    pub log_level: Option<String>,
}

impl From<Run> for Options {
    fn from(run: Run) -> Self {
        Self {
            config: run.config,
            watch: !run.no_watch,
            state_dir: run.state_dir.or_else(systemds_state_directory),
            socket: run.control_socket_path,
            log_level: run.log_level,
        }
    }
}

/// `StateDirectory=` of the unit; several are separated by colons (systemd.exec(5)).
fn systemds_state_directory() -> Option<PathBuf> {
    let list = std::env::var_os("STATE_DIRECTORY")?;
    std::env::split_paths(&list).find(|path| path.is_absolute())
}
