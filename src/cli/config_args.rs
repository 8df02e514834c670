//! The command line of `config` and `log-level`.

use crate::types::Origin;
use clap::Subcommand;
use std::path::PathBuf;

/// What to do with rules as a document.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show the running rules as a configuration file has them (JSON5; with -o json JSON).
    Show {
        /// Of one origin only: runtime, file or crd.
        #[arg(long, value_parser = origin)]
        origin: Option<Origin>,
    },
    /// Write what `show` shows to a file, as a whole or not at all.
    Save {
        /// The file.
        #[arg(default_value = "mcr.json5", value_name = "FILE")]
        file: PathBuf,
        /// Of one origin only: runtime, file or crd.
        #[arg(long, value_parser = origin)]
        origin: Option<Origin>,
        /// Replace the file if it is there.
        #[arg(long)]
        force: bool,
    },
    /// Make the rules of origin runtime those of a file: all of them, or nothing changes. Rules that
    /// stay the same keep their counters.
    Load {
        /// The file; it has `rules`, and nothing that concerns the host.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check a configuration file here, without a daemon; every mistake is named. Ends with 1 where
    /// there is one.
    Check {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Compare the running rules with those of a file, by name. Ends with 0 where they are the same and
    /// with 1 where they are not.
    Diff {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Running rules of one origin only: runtime, file or crd.
        #[arg(long, value_parser = origin)]
        origin: Option<Origin>,
    },
}

/// What to do with the log level.
#[derive(Clone, Debug, Subcommand)]
pub enum LogLevelCommand {
    /// Show what mcrd logs, and who said so.
    Get,
    /// Set what mcrd logs, until it stops or it is set again.
    Set {
        /// off, error, warn, info, debug or trace; without --module also a filter such as
        /// "info,mcr::netlink=debug".
        #[arg(value_name = "LEVEL")]
        level: String,
        /// Only what this module logs: netlink, mcr::api::server, hyper::proto. Without it the level is
        /// for everything, and no module has one of its own any more.
        #[arg(long, value_name = "MODULE")]
        module: Option<String>,
    },
}

fn origin(text: &str) -> Result<Origin, String> {
    match text {
        "runtime" => Ok(Origin::Runtime),
        "file" => Ok(Origin::File),
        "crd" => Ok(Origin::Crd),
        _ => Err("an origin is runtime, file or crd".to_owned()),
    }
}
