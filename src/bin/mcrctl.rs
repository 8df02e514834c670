//! `mcrctl`: asks a running `mcrd` and changes its rules.

fn main() -> std::process::ExitCode {
    mcr::cli::main()
}
