//! The requests of version 1, each turned into one [`Request`] to the core.

use super::problem::Problem;
use super::server::{Exchange, Limits};
use super::v1::{RuleJson, StatsJson};
use crate::config;
use crate::control::event::{Refusal, Reply, Request};
use crate::control::view::RuleStatus;
use crate::types::Origin;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body_util::BodyExt;
use serde::Serialize;
use serde_json::Value;
use std::convert::identity;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

#[derive(Clone)]
struct Context {
    to_core: mpsc::Sender<Exchange>,
    limits: Limits,
}

type Answer = Result<Response, Problem>;
type Key = Result<Path<String>, PathRejection>;

/// All endpoints.
pub(super) fn router(to_core: mpsc::Sender<Exchange>, limits: Limits) -> Router {
    Router::new()
        .route("/v1/ping", get(ping))
        .route("/v1/rules", get(rules).post(add_rule))
        .route("/v1/rules/{key}", get(rule).delete(remove_rule))
        .route("/v1/stats", get(stats))
        .route("/v1/workers", get(workers))
        .route("/v1/interfaces", get(interfaces))
        .route("/v1/mroute", get(mroute))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Context { to_core, limits })
}

/// What a connection beyond the limit gets, whatever it asks.
pub(super) fn busy_router(max_connections: usize) -> Router {
    Router::new().fallback(move || async move {
        let why = format!("{max_connections} connections are open, which is the limit; try again");
        Problem::unavailable(&why)
    })
}

async fn ping(State(context): State<Context>) -> Answer {
    match context.ask(Request::Ping).await? {
        Reply::Pong(pong) => json(StatusCode::OK, pong, identity).await,
        other => Err(unexpected(&other)),
    }
}

async fn rules(State(context): State<Context>) -> Answer {
    let shape = |rules: Vec<RuleStatus>| rules.into_iter().map(RuleJson::from).collect::<Vec<_>>();
    json(StatusCode::OK, context.rules().await?, shape).await
}

async fn rule(State(context): State<Context>, key: Key) -> Answer {
    let key = key_of(key)?;
    let rule = find(context.rules().await?, &key)?;
    json(StatusCode::OK, rule, RuleJson::from).await
}

async fn add_rule(State(context): State<Context>, headers: HeaderMap, body: Body) -> Answer {
    let body = read_body(&context.limits, &headers, body).await?;
    let rule = aside(move || {
        // Syntax first, with serde_json's limit on nesting: only well-formed JSON reaches the schema.
        serde_json::from_slice::<Value>(&body).map_err(|error| Problem::bad_json(&error))?;
        config::rule_from_json(&body, Origin::Runtime).map_err(Problem::from)
    });
    let rule = rule.await??;
    let (status, rule) = match context.ask(Request::AddRule(rule)).await? {
        Reply::Rule(rule) => (StatusCode::CREATED, *rule),
        Reply::Unchanged(rule) => (StatusCode::OK, *rule),
        other => return Err(unexpected(&other)),
    };
    // An id consists of characters that stand in a path as they are.
    let location = [(header::LOCATION, format!("/v1/rules/{}", rule.rule.id))];
    Ok((location, json(status, rule, RuleJson::from).await?).into_response())
}

async fn remove_rule(State(context): State<Context>, key: Key) -> Answer {
    match context.ask(Request::RemoveRule(key_of(key)?)).await? {
        Reply::Rule(rule) => json(StatusCode::OK, *rule, RuleJson::from).await,
        other => Err(unexpected(&other)),
    }
}

async fn stats(State(context): State<Context>) -> Answer {
    match context.ask(Request::Stats).await? {
        Reply::Stats(stats) => json(StatusCode::OK, *stats, StatsJson::from).await,
        other => Err(unexpected(&other)),
    }
}

async fn workers(State(context): State<Context>) -> Answer {
    match context.ask(Request::Workers).await? {
        Reply::Workers(workers) => json(StatusCode::OK, workers, identity).await,
        other => Err(unexpected(&other)),
    }
}

async fn interfaces(State(context): State<Context>) -> Answer {
    match context.ask(Request::Interfaces).await? {
        Reply::Interfaces(interfaces) => json(StatusCode::OK, interfaces, identity).await,
        other => Err(unexpected(&other)),
    }
}

async fn mroute(State(context): State<Context>) -> Answer {
    match context.ask(Request::Mroute).await? {
        Reply::Mroute(mroute) => json(StatusCode::OK, mroute, identity).await,
        other => Err(unexpected(&other)),
    }
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-such-path",
        "No such path",
        format!(
            "there is no {}; there are /v1/ping, /v1/rules, /v1/rules/ID, /v1/stats, /v1/workers, \
             /v1/interfaces and /v1/mroute",
            uri.path()
        ),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong-method",
        "Wrong method",
        format!("{} cannot be asked with {method}; see the header Allow", uri.path()),
    )
}

impl Context {
    /// One question to the core, answered within the limit or refused.
    async fn ask(&self, request: Request) -> Result<Reply, Problem> {
        let exchange = async {
            let (sender, receiver) = oneshot::channel();
            if self.to_core.send((request, sender)).await.is_err() {
                return Err(Refusal::Unavailable("it is stopping".into()));
            }
            match receiver.await {
                Ok(answer) => answer,
                Err(_) => Err(Refusal::Unavailable("it gave no answer".into())),
            }
        };
        match timeout(self.limits.answer_timeout, exchange).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Problem::unavailable(&format!(
                "no answer within {:?}; whether a change was made is not known",
                self.limits.answer_timeout
            ))),
        }
    }

    async fn rules(&self) -> Result<Vec<RuleStatus>, Problem> {
        match self.ask(Request::Rules).await? {
            Reply::Rules(rules) => Ok(rules),
            other => Err(unexpected(&other)),
        }
    }
}

/// By id; else by `origin/name`; else by name, where only one rule has it.
fn find(rules: Vec<RuleStatus>, key: &str) -> Result<RuleStatus, Refusal> {
    let by_id = rules.iter().position(|r| r.rule.id.as_str() == key);
    let by_origin = || rules.iter().position(|r| r.rule.display_name() == key);
    let mut found: Vec<usize> = by_id.or_else(by_origin).into_iter().collect();
    if found.is_empty() {
        let named = |(_, r): &(usize, &RuleStatus)| r.rule.name.as_deref() == Some(key);
        found = rules.iter().enumerate().filter(named).map(|(index, _)| index).collect();
    }
    if found.len() > 1 {
        let ids: Vec<&str> = found.iter().map(|i| rules[*i].rule.id.as_str()).collect();
        return Err(Refusal::Ambiguous { name: key.to_owned(), candidates: ids.join(", ") });
    }
    let index = found.first().copied();
    index
        .and_then(|index| rules.into_iter().nth(index))
        .ok_or_else(|| Refusal::NoSuchRule(key.to_owned()))
}

/// The core answered another question.
fn unexpected(reply: &Reply) -> Problem {
    tracing::error!(?reply, "the core answered another question");
    internal("the relay answered another question than was asked")
}

/// A mistake of ours, never of the request: the only way to a 500.
fn internal(what: &str) -> Problem {
    let detail = format!("{what}; please report this");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
}

fn key_of(key: Key) -> Result<String, Problem> {
    match key {
        Ok(Path(key)) => Ok(key),
        Err(rejection) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-path",
            "The path is not valid",
            format!("the id or name in the path must be percent-encoded UTF-8: {rejection}"),
        )),
    }
}

/// A document made of `value`. Thousands of rules take many milliseconds to write, and the daemon's
/// loop runs on this thread: so another one writes them.
async fn json<V, T>(status: StatusCode, value: V, shape: fn(V) -> T) -> Answer
where
    V: Send + 'static,
    T: Serialize + 'static,
{
    let body = aside(move || serde_json::to_vec_pretty(&shape(value))).await?;
    match body {
        Ok(mut body) => {
            body.push(b'\n');
            Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
        }
        Err(error) => {
            tracing::error!(%error, "an answer does not serialise");
            Err(internal("the answer does not serialise"))
        }
    }
}

/// Does work that may take long on a thread of its own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a control request ended badly");
        internal("the request ended badly")
    })
}

/// The body, at most `max_body` bytes and within `body_timeout`.
///
/// A client that writes everything before it reads would see a broken pipe and not our refusal if
/// we closed at once; so up to `max_discard` bytes beyond the limit are read and thrown away.
async fn read_body(limits: &Limits, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            format!("a request body has at most {} bytes", limits.max_body),
        )
    };
    let declared: Option<usize> =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let waits_for_leave = headers.contains_key(header::EXPECT);
    if declared.is_some_and(|n| n > limits.max_discard || (n > limits.max_body && waits_for_leave))
    {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut total = 0usize;
    let read = timeout(limits.body_timeout, collect(limits, body, &mut bytes, &mut total)).await;
    if total > limits.max_body {
        return Err(too_large());
    }
    match read {
        Ok(Ok(())) => Ok(bytes),
        Ok(Err(error)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-body",
            "The body did not arrive whole",
            format!("the request body could not be read: {error}"),
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            "The body came too slowly",
            format!("the request body was not complete within {:?}", limits.body_timeout),
        )),
    }
}

async fn collect(
    limits: &Limits,
    mut body: Body,
    bytes: &mut Vec<u8>,
    total: &mut usize,
) -> Result<(), axum::Error> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        *total = total.saturating_add(data.len());
        if *total <= limits.max_body {
            bytes.extend_from_slice(&data);
        } else {
            *bytes = Vec::new();
            if *total > limits.max_discard {
                break;
            }
        }
    }
    Ok(())
}
