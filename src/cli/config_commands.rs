//! `mcrctl config`: rules as documents.

use super::args::OutputForm;
use super::commands::{Exit, Failure, print, show};
use super::config_args::ConfigCommand;
use super::text::{shown, shown_json};
use super::{difference, json5, sentences, tables};
use crate::api::Client;
use crate::api::v1::{ChangesJson, Document};
use crate::config;
use crate::types::Origin;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) async fn run(
    client: &Client,
    command: &ConfigCommand,
    form: OutputForm,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Show { origin } => {
            print(out, &running(client, *origin, form).await?)?;
        }
        ConfigCommand::Save { file, origin, force } => {
            let text = running(client, *origin, form).await?;
            save(file, &text, *force).map_err(|error| cannot("save", file, &error))?;
            print(out, &format!("saved to {}\n", shown(&file.display().to_string())))?;
        }
        ConfigCommand::Load { file, dry_run } => {
            let body = document_of(file)?;
            let query = if *dry_run { "?dryRun=true" } else { "" };
            let answer = client.put(&format!("/v1/rules{query}"), &body).await?;
            print(out, &show(&answer, form, |changes: ChangesJson| sentences::changes(&changes))?)?;
        }
        ConfigCommand::Check { file } => {
            let loaded = config::load_file(file).map_err(Failure::Mistakes)?;
            let rules = loaded.rules.len();
            let text = match form {
                OutputForm::Json => format!("{}\n", json!({"mistakes": 0, "rules": rules})),
                OutputForm::Table => format!(
                    "{}: {}, no mistakes\n",
                    shown(&file.display().to_string()),
                    tables::count(rules, "rule")
                ),
            };
            print(out, &text)?;
        }
        ConfigCommand::Diff { file, origin } => {
            return diff(client, file, *origin, form, out).await;
        }
    }
    Ok(Exit::Done)
}

/// The running rules, as they can be saved and loaded.
async fn running(
    client: &Client,
    origin: Option<Origin>,
    form: OutputForm,
) -> Result<String, Failure> {
    let document = client.config(origin).await?;
    let document = serde_json::to_value(&document).map_err(io::Error::other)?;
    let text = match form {
        OutputForm::Table => json5::document(&document),
        OutputForm::Json => format!("{document:#}\n"),
    };
    Ok(shown_json(&text))
}

/// Checks a file here, where its lines are known, and makes of it what is sent.
fn document_of(file: &Path) -> Result<Value, Failure> {
    let loaded = config::load_file(file).map_err(Failure::Mistakes)?;
    let whole = serde_json::to_value(&loaded.file).map_err(io::Error::other)?;
    let misplaced: Vec<&str> = Document::SECTIONS_OF_FILES
        .into_iter()
        .filter(|section| whole.get(section).is_some())
        .collect();
    if !misplaced.is_empty() {
        return Err(Failure::InvalidRule(vec![format!(
            "{}: {} cannot be loaded into a running relay; take it out, or start mcrd with this file",
            file.display(),
            misplaced.join(", ")
        )]));
    }
    serde_json::to_value(Document { version: 1, rules: loaded.file.rules })
        .map_err(|error| io::Error::other(error).into())
}

async fn diff(
    client: &Client,
    file: &Path,
    origin: Option<Origin>,
    form: OutputForm,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let loaded = config::load_file(file).map_err(Failure::Mistakes)?;
    let document = client.config(origin).await?;
    let differences = difference::between(&document.rules, &loaded.rules)
        .map_err(|error| Failure::InvalidRule(vec![error]))?;
    let same = differences.is_empty();
    let text = match form {
        OutputForm::Json => {
            shown_json(&format!("{:#}\n", json!({"same": same, "differences": differences})))
        }
        OutputForm::Table if same => {
            format!("the running rules are those of {}\n", shown(&file.display().to_string()))
        }
        OutputForm::Table => difference::text(&differences),
    };
    print(out, &text)?;
    Ok(if same { Exit::Done } else { Exit::Refused })
}

fn cannot(what: &str, file: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::AlreadyExists => "; --force replaces it",
        _ => "",
    };
    Failure::InvalidRule(vec![format!("cannot {what} {}: {error}{hint}", file.display())])
}

/// Writes a file as a whole or not at all; one that is there is replaced only by `force`.
fn save(file: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut name = file.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary: PathBuf = file.with_file_name(name);
    let written = File::create_new(&temporary)
        .and_then(|mut new| new.write_all(text.as_bytes()).and_then(|()| new.sync_all()));
    let saved = written.and_then(|()| match force {
        true => fs::rename(&temporary, file),
        // A link, unlike a rename, never replaces what is there.
        false => fs::hard_link(&temporary, file),
    });
    let _ = fs::remove_file(&temporary);
    saved
}

#[cfg(test)]
#[path = "config_commands_tests.rs"]
mod tests;
