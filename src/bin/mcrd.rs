//! The relay daemon.

use clap::Parser;
use mcr::daemon::arguments::{Arguments, Command, Run};
use mcr::daemon::{self, StartError};
use mcr::{manual, schema};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(run) => relay(run),
        Command::Dataplane => data_plane(),
        Command::Schema { kind } => print(&schema::pretty(&kind.document())),
        Command::Crd { json: true } => print(&schema::pretty(&schema::crd())),
        Command::Crd { json: false } => print(&schema::crd_yaml()),
        Command::Man { folder } => write_all(&folder, manual::pages()),
        Command::Completions { folder } => write_all(&folder, manual::completions()),
    }
}

fn relay(run: Run) -> ExitCode {
    match daemon::run(&run.into()) {
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

fn data_plane() -> ExitCode {
    match mcr::dataplane::process::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcrd dataplane: {error}");
            ExitCode::from(1)
        }
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // `mcrd schema | head`: who read has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcrd: cannot write: {error}");
            ExitCode::from(1)
        }
    }
}

fn write_all(folder: &Path, files: Vec<(String, String)>) -> ExitCode {
    let write = |path: &Path, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)
    };
    for (name, text) in files {
        let path = folder.join(name);
        if let Err(error) = write(&path, &text) {
            eprintln!("mcrd: cannot write {}: {error}", path.display());
            return ExitCode::from(1);
        }
    }
    ExitCode::SUCCESS
}
