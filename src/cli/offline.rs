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
