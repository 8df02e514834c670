//! What mcrctl does by itself, without a daemon.

use super::args::{Args, ImportFrom};
use crate::config::import::{Imported, Remark, smcroute_file, smcroute_text};
use clap::CommandFactory;
use std::io::Read;
use std::path::Path;

/// More of a text is not read.
const MAX_BYTES: u64 = 16 << 20;

/// Completions of mcrctl.
pub(super) fn completions(shell: clap_complete::Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "mcrctl", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The configuration of another program as ours, or all lines that are not understood.
pub(super) fn import(from: &ImportFrom) -> Result<Imported, Vec<String>> {
    let ImportFrom::Smcroute { file } = from;
    let imported = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .take(MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| vec![format!("standard input cannot be read: {error}")])?;
        smcroute_text("standard input", &text)
    } else {
        smcroute_file(file)
    };
    imported.map_err(|remarks| remarks.iter().map(Remark::to_string).collect())
}

#[cfg(test)]
mod tests {
    use crate::cli::{Args, Exit, run};
    use clap::Parser;

    /// Runs a command where no daemon is: how it ended, what it said, and why it failed.
    async fn alone(line: &[&str]) -> (Exit, String, String) {
        let start = ["mcrctl", "--socket-path", "/nonexistent/mcr.sock"];
        let args = Args::try_parse_from(start.iter().chain(line)).expect("parses");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = run(&args, &mut out, &mut err).await;
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (exit, text(out), text(err))
    }

    #[tokio::test]
    async fn completions_need_no_daemon() {
        for shell in ["bash", "zsh", "fish"] {
            let (exit, out, err) = alone(&["completions", shell]).await;
            assert_eq!((exit, err), (Exit::Done, String::new()), "{shell}");
            assert!(out.contains("list-workers") && out.contains("smcroute"), "{shell}");
        }
    }

    #[tokio::test]
    async fn an_import_prints_the_rules_and_warns_beside_them() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("text");
        std::fs::write(path, "phyint a mrdisc\nmroute from a group 239.1.1.1 to b\n")
            .expect("writes");
        let (exit, out, err) = alone(&["import", "smcroute", path]).await;
        assert_eq!(exit, Exit::Done);
        assert!(out.contains("group: \"239.1.1.1\""), "{out}");
        assert!(err.starts_with(&format!("{path}:1: mrdisc")) && err.ends_with('\n'), "{err}");
        std::fs::write(path, "mroute from a\n").expect("writes");
        let (exit, out, err) = alone(&["import", "smcroute", path]).await;
        assert_eq!((exit, out), (Exit::Refused, String::new()));
        assert!(err.starts_with(&format!("mcrctl: {path}:1: ")), "{err}");
        let (exit, _, err) = alone(&["import", "smcroute", "/nonexistent/x.conf"]).await;
        assert_eq!(exit, Exit::Refused);
        assert!(err.contains("/nonexistent/x.conf: cannot be read"), "{err}");
    }
}
