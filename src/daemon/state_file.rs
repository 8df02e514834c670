//! Rules of origin `runtime` kept over restarts, in one file that is replaced as a whole.
//!
//! The file is written on another thread: a slow or full disk changes nothing but what is told.

use crate::api::v1::Document;
use crate::config;
use crate::control::notice::Notice;
use crate::control::view::StateFileStatus;
use crate::types::{Origin, Rule, Time};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// The file's name in its directory.
const NAME: &str = "runtime-rules.json";
/// At least so long from one writing to the next.
const PAUSE: Duration = Duration::from_millis(250);
/// After a failure it is tried again after this, and later each time, up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Corrupt files that are kept beside it.
const CORRUPT_MAX: u32 = 1000;

/// See the module.
pub(super) struct StateFile {
    path: PathBuf,
    /// The rules are others than those that were written last.
    changed: bool,
    writing: Option<JoinHandle<io::Result<()>>>,
    /// Not to be written before.
    not_before: Time,
    failures: u32,
    error: Option<String>,
}

impl StateFile {
    /// The file in `dir`, which is made where it is missing, and the rules in it. What is wrong with
    /// them is logged; what can be used is used.
    pub(super) fn open(dir: &Path, now: Time) -> (Self, Vec<Rule>) {
        let path = dir.join(NAME);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        let error = made.err().map(|error| format!("cannot make {}: {error}", dir.display()));
        if let Some(error) = &error {
            warn!(dir = %dir.display(), error, "cannot keep run-time rules");
        }
        let (rules, sound) = match load(&path) {
            Found::Nothing => (Vec::new(), true),
            Found::Rules(rules) => {
                info!(file = %path.display(), rules = rules.len(), "run-time rules taken over");
                (rules, true)
            }
            Found::Wrong { rules, mistakes } => {
                put_aside(&path, &mistakes);
                info!(file = %path.display(), rules = rules.len(), "run-time rules that are sound taken over");
                (rules, false)
            }
        };
        let file =
            Self { path, changed: !sound, writing: None, not_before: now, failures: 0, error };
        (file, rules)
    }

    /// The rules have changed.
    pub(super) fn changed(&mut self, now: Time) {
        self.changed = true;
        // After failures a change is a reason to try again at once, but not over and over.
        self.not_before = self.not_before.min(now.plus(PAUSE));
    }

    /// When to begin to write; none where there is nothing to write or it is being written.
    pub(super) fn due(&self) -> Option<Time> {
        (self.changed && self.writing.is_none()).then_some(self.not_before)
    }

    /// Begins to write these rules.
    pub(super) fn begin(&mut self, now: Time, rules: Vec<Rule>) {
        self.changed = false;
        self.not_before = now.plus(PAUSE);
        let path = self.path.clone();
        self.writing = Some(tokio::task::spawn_blocking(move || write(&path, &rules)));
    }

    /// Waits for the end of writing; for ever where nothing is written. Cancelling loses nothing.
    pub(super) async fn written(&mut self) -> io::Result<()> {
        let Some(writing) = &mut self.writing else { return std::future::pending().await };
        let outcome = writing.await;
        self.writing = None;
        outcome.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Takes note of how writing ended; what is to be told.
    pub(super) fn ended(&mut self, now: Time, outcome: io::Result<()>) -> Option<Notice> {
        let path = self.path.display().to_string();
        match outcome {
            Ok(()) => {
                self.failures = 0;
                self.error.take().map(|_| Notice::StateFileSaved { path })
            }
            Err(error) => {
                let delay = RETRY_MIN.saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX);
                self.failures += 1;
                self.changed = true;
                self.not_before = now.plus(delay);
                let reason = error.to_string();
                let news = self.error.as_ref() != Some(&reason);
                self.error = Some(reason.clone());
                news.then_some(Notice::StateFileFailed { path, reason })
            }
        }
    }

    /// The last chance: writes now, if there is something to write.
    pub(super) async fn finish(mut self, rules: Vec<Rule>) {
        let last = match self.writing.is_some() {
            true => self.written().await,
            false => Ok(()),
        };
        if self.changed || last.is_err() {
            let path = self.path.clone();
            let outcome = tokio::task::spawn_blocking(move || write(&path, &rules)).await;
            if let Err(error) = outcome.unwrap_or_else(|error| Err(io::Error::other(error))) {
                error!(file = %self.path.display(), %error, "run-time rules are lost");
            }
        }
    }

    pub(super) fn status(&self) -> StateFileStatus {
        StateFileStatus {
            path: self.path.display().to_string(),
            saved: !self.changed && self.writing.is_none() && self.error.is_none(),
            error: self.error.clone(),
        }
    }
}

/// What stands in the file.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Rules(Vec<Rule>),
    /// The rules that can be used, and everything that cannot.
    Wrong {
        rules: Vec<Rule>,
        mistakes: Vec<String>,
    },
}

fn load(path: &Path) -> Found {
    let wrong = |mistake: String| Found::Wrong { rules: Vec::new(), mistakes: vec![mistake] };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return wrong(format!("cannot be read: {error}")),
    };
    let document: Value = match serde_json::from_slice(&bytes) {
        Ok(document) => document,
        Err(error) => return wrong(format!("is not JSON: {error}")),
    };
    let mut mistakes = Vec::new();
    if document.get("version").and_then(Value::as_u64) != Some(1) {
        mistakes.push("version: is not 1".to_owned());
    }
    let Some(specs) = document.get("rules").and_then(Value::as_array) else {
        mistakes.push("rules: is not a list".to_owned());
        return Found::Wrong { rules: Vec::new(), mistakes };
    };
    let mut rules = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        match config::rule_from_json(spec.to_string().as_bytes(), Origin::Runtime) {
            Ok(rule) => rules.push(rule),
            Err(wrong) => mistakes.extend(wrong.list.into_iter().map(|one| {
                let dot = if one.path.is_empty() { "" } else { "." };
                let who = spec.get("name").or_else(|| spec.get("id")).and_then(Value::as_str);
                let who = who.map(|name| format!(" ({name:?})")).unwrap_or_default();
                format!("rules[{index}]{dot}{}{who}: {}", one.path, one.message)
            })),
        }
    }
    if mistakes.is_empty() { Found::Rules(rules) } else { Found::Wrong { rules, mistakes } }
}

/// Names a corrupt file's mistakes and keeps it under another name.
fn put_aside(path: &Path, mistakes: &[String]) {
    for error in mistakes {
        error!(file = %path.display(), error, "the file of run-time rules is wrong");
    }
    let free = (1..=CORRUPT_MAX)
        .map(|n| PathBuf::from(format!("{}.corrupt-{n}", path.display())))
        .find(|name| fs::symlink_metadata(name).is_err());
    let Some(name) = free else {
        error!(file = %path.display(), "too many corrupt files are kept already; this one is replaced");
        return;
    };
    match fs::rename(path, &name) {
        Ok(()) => {
            warn!(file = %path.display(), kept = %name.display(), "corrupt file put aside");
        }
        Err(error) => error!(file = %path.display(), %error, "cannot put a corrupt file aside"),
    }
}

fn write(path: &Path, rules: &[Rule]) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(&Document::of(rules))?;
    bytes.push(b'\n');
    replace(path, &bytes, |temporary| {
        File::options().write(true).create_new(true).mode(0o600).open(temporary)
    })
}

/// Replaces a file as a whole: after a crash at any moment there is the old one or the new one.
fn replace(
    path: &Path,
    bytes: &[u8],
    open: impl FnOnce(&Path) -> io::Result<File>,
) -> io::Result<()> {
    let temporary = PathBuf::from(format!("{}.tmp", path.display()));
    let doing = |what: &str, error: io::Error| {
        io::Error::new(error.kind(), format!("cannot {what} {}: {error}", temporary.display()))
    };
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(doing("remove", error));
        }
        _ => {}
    }
    let mut file = open(&temporary).map_err(|error| doing("create", error))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let moved = written
        .map_err(|error| doing("write", error))
        .and_then(|()| fs::rename(&temporary, path).map_err(|error| doing("rename", error)));
    if moved.is_err() {
        // What was begun is of no use; where it stays, the next attempt removes it.
        let _ = fs::remove_file(&temporary);
    }
    moved?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "state_file_tests.rs"]
mod tests;
