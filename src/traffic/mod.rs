//! L5, mcrgen: a paced sender, a verifying receiver, a JSON report.
//!
//! ```text
//! args ──▶ plan ──▶ send ──▶ pace, payload ──▶ the network
//! args ──▶ recv ──▶ tally ──▶ payload, tracker ──▶ report
//! ```
//! `payload`, `pace`, `tracker` and `tally` are pure: bytes and times come in as arguments.

pub mod args;
pub mod error;
mod interface;
pub mod pace;
pub mod payload;
pub mod plan;
pub mod recv;
pub mod report;
pub mod send;
pub mod stop;
pub mod tally;
pub mod tracker;

#[cfg(test)]
mod loopback_tests;

use args::{Command, OutputFormat};
use error::TrafficError;
use std::io::Write;
use stop::StopSignal;

/// Runs one `mcrgen` command to its end and prints its report to standard output.
///
/// Returns the exit code: 0 when it ran, 1 where `recv --check` found something wrong or `send`
/// could send nothing at all.
///
/// # Errors
/// What kept the command from running; [`TrafficError::exit_code`] tells the exit code for it.
pub fn run(command: &Command) -> Result<u8, TrafficError> {
    let stop = StopSignal::install()
        .map_err(|error| TrafficError::system("cannot take over SIGINT and SIGTERM", error))?;
    match command {
        Command::Send(args) => {
            let report = send::Sender::open(args)?.run(&stop)?;
            print(args.output, &report)?;
            Ok(u8::from(report.sent == 0 && report.errors > 0))
        }
        Command::Recv(args) => {
            let report = recv::Receiver::open(args)?.run(&stop)?;
            print(args.output, &report)?;
            Ok(u8::from(args.check && !report.is_clean()))
        }
    }
}

fn print<R: serde::Serialize + std::fmt::Display>(
    format: OutputFormat,
    report: &R,
) -> Result<(), TrafficError> {
    let text = match format {
        OutputFormat::Text => report.to_string(),
        OutputFormat::Json => serde_json::to_string_pretty(report)
            .map_err(|error| TrafficError::system("cannot write the report", error.into()))?,
    };
    // A reader that went away (`mcrgen … | head`) is not a failure of the measurement.
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(TrafficError::system("cannot write the report", error))
        }
        _ => Ok(()),
    }
}
