//! `mcrgen`: test traffic for multicast, sent and verified.

use mcr::traffic::args::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::parse_line(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match mcr::traffic::run(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("mcrgen: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
