//! Rules as documents: the running ones shown, those of origin `runtime` replaced, and what a change
//! would do.

use super::problem::{Problem, ProblemError};
use super::routes::{Answer, Context, aside, json, unexpected};
use super::v1::{ChangesJson, Document};
use crate::config;
use crate::control::event::{Change, Reply, Request};
use crate::types::{Origin, Rule};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// `?dryRun=true`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct How {
    dry_run: bool,
}

/// `?origin=runtime`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Which {
    origin: Option<Origin>,
}

pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;

/// What was asked for behind the path.
pub(super) fn query<T>(asked: Asked<T>, known: &str) -> Result<T, Problem> {
    match asked {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-query",
            "The query is not valid",
            format!("{}; there is only {known}", rejection.body_text()),
        )),
    }
}

/// Whether the change is only to be tried.
pub(super) fn only_tried(how: Asked<How>) -> Result<bool, Problem> {
    Ok(query(how, "dryRun=true or dryRun=false")?.dry_run)
}

/// `GET /v1/config`.
pub(super) async fn show(State(context): State<Context>, which: Asked<Which>) -> Answer {
    let origin = query(which, "origin=runtime, origin=file or origin=crd")?.origin;
    match context.ask(Request::RuleSet(origin)).await? {
        Reply::RuleSet(rules) => json(StatusCode::OK, rules, |rules| Document::of(&rules)).await,
        other => Err(unexpected(&other)),
    }
}

/// `PUT /v1/rules`.
pub(super) async fn replace(
    State(context): State<Context>,
    how: Asked<How>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let dry_run = only_tried(how)?;
    let most = context.limits.max_document;
    let body = context.read_body(most, &headers, body).await?;
    let set = aside(move || read(&body)).await??;
    let request = match dry_run {
        true => Request::DryRun(Change::Replace(set)),
        false => Request::ReplaceRules(set),
    };
    changes(&context, request, dry_run).await
}

/// Asks for a change, or what it would do, and answers with what came of it.
pub(super) async fn changes(context: &Context, request: Request, dry_run: bool) -> Answer {
    let shape = match dry_run {
        true => |changes| ChangesJson::of(changes, true),
        false => |changes| ChangesJson::of(changes, false),
    };
    match context.ask(request).await? {
        Reply::Changes(changes) => json(StatusCode::OK, changes, shape).await,
        other => Err(unexpected(&other)),
    }
}

/// The rules of a document, or all that is wrong with it.
fn read(body: &[u8]) -> Result<Vec<Rule>, Problem> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_json("a document such as {\"rules\": []}", &error))?;
    let mut errors = misplaced(&value);
    // Well-formed JSON is UTF-8.
    let text = String::from_utf8_lossy(body);
    let specs = match config::load_text("request", &text) {
        Ok(loaded) => loaded.file.rules,
        Err(diagnostics) => {
            errors.extend(Problem::of_document(diagnostics).errors);
            Vec::new()
        }
    };
    if !errors.is_empty() {
        return Err(Problem::of_errors("document", errors));
    }
    let mut set = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        match config::rule_from_spec(spec, Origin::Runtime) {
            Ok(rule) => set.push(rule),
            Err(list) => errors.extend(list.into_iter().map(|one| {
                let mut error = ProblemError::from(one);
                let dot = if error.path.is_empty() { "" } else { "." };
                error.path = format!("rules[{index}]{dot}{}", error.path);
                error
            })),
        }
    }
    if errors.is_empty() { Ok(set) } else { Err(Problem::of_errors("document", errors)) }
}

/// What a file may have and a set of rules may not, and the other way round.
fn misplaced(document: &Value) -> Vec<ProblemError> {
    let Value::Object(members) = document else { return Vec::new() };
    let error = |path: &str, message: String| ProblemError {
        path: path.to_owned(),
        message,
        line: None,
        column: None,
    };
    let mut errors: Vec<ProblemError> = members
        .keys()
        .filter(|key| Document::SECTIONS_OF_FILES.contains(&key.as_str()))
        .map(|key| {
            let message = "belongs in the daemon's configuration file; here are only version and \
                           rules";
            error(key, message.to_owned())
        })
        .collect();
    if !members.contains_key("rules") {
        let message = "is missing; write [] to remove all rules of origin runtime";
        errors.push(error("rules", message.to_owned()));
    }
    errors
}
