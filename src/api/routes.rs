//! The requests of version 1, each turned into one [`Request`] to the core.

use super::events::{self, Subscriptions};
use super::igmp;
use super::problem::Problem;
use super::rule_set::{self, Asked, How};
use super::server::{Exchange, Lasting, Limits};
use super::v1::{RuleJson, SetLogLevel, StatsJson};
use crate::config;
use crate::control::event::{Change, Refusal, Reply, Request};
use crate::control::view::RuleStatus;
use crate::types::Origin;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::Value;
use std::convert::identity;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

#[derive(Clone)]
pub(super) struct Context {
    to_core: mpsc::Sender<Exchange>,
    subscriptions: Subscriptions,
    listeners: Arc<Semaphore>,
    pub(super) limits: Limits,
}

pub(super) type Answer = Result<Response, Problem>;
type Key = Result<Path<String>, PathRejection>;

/// All endpoints.
pub(super) fn router(
    to_core: mpsc::Sender<Exchange>,
    subscriptions: Subscriptions,
    limits: Limits,
) -> Router {
    let listeners = Arc::new(Semaphore::new(limits.max_listeners));
    Router::new()
        .route("/v1/ping", get(ping))
        .route("/v1/rules", get(rules).post(add_rule).put(rule_set::replace))
        .route("/v1/rules/{key}", get(rule).delete(remove_rule))
        .route("/v1/stats", get(stats))
        .route("/v1/workers", get(workers))
        .route("/v1/interfaces", get(interfaces))
        .route("/v1/mroute", get(mroute))
        .route("/v1/igmp/groups", get(igmp::groups))
        .route("/v1/igmp/interfaces", get(igmp::interfaces))
        .route("/v1/igmp/stats", get(igmp::statistics))
        .route("/v1/config", get(rule_set::show))
        .route("/v1/events", get(listen))
        .route("/v1/log-level", get(log_level).put(set_log_level))
        .route("/v1/upgrade", post(upgrade))
        .route("/v1/dataplane/upgrade", post(upgrade_data_plane))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Context { to_core, subscriptions, listeners, limits })
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

async fn add_rule(
    State(context): State<Context>,
    how: Asked<How>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let dry_run = rule_set::only_tried(how)?;
    let body = context.read_body(context.limits.max_body, &headers, body).await?;
    let rule = aside(move || {
        // Syntax first, with serde_json's limit on nesting: only well-formed JSON reaches the schema.
        serde_json::from_slice::<Value>(&body)
            .map_err(|error| Problem::bad_json("one rule as a JSON object", &error))?;
        config::rule_from_json(&body, Origin::Runtime).map_err(Problem::from)
    });
    let rule = rule.await??;
    if dry_run {
        return rule_set::changes(&context, Request::DryRun(Change::Add(rule)), true).await;
    }
    let (status, rule) = match context.ask(Request::AddRule(rule)).await? {
        Reply::Rule(rule) => (StatusCode::CREATED, *rule),
        Reply::Unchanged(rule) => (StatusCode::OK, *rule),
        other => return Err(unexpected(&other)),
    };
    // An id consists of characters that stand in a path as they are.
    let location = [(header::LOCATION, format!("/v1/rules/{}", rule.rule.id))];
    Ok((location, json(status, rule, RuleJson::from).await?).into_response())
}

async fn remove_rule(State(context): State<Context>, key: Key, how: Asked<How>) -> Answer {
    let key = key_of(key)?;
    if rule_set::only_tried(how)? {
        return rule_set::changes(&context, Request::DryRun(Change::Remove(key)), true).await;
    }
    match context.ask(Request::RemoveRule(key)).await? {
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

async fn log_level(State(context): State<Context>) -> Answer {
    context.log_level(Request::LogLevel).await
}

async fn set_log_level(State(context): State<Context>, headers: HeaderMap, body: Body) -> Answer {
    let body = context.read_body(context.limits.max_body, &headers, body).await?;
    let wanted = "a JSON object such as {\"level\": \"debug\", \"module\": \"netlink\"}";
    let SetLogLevel { level, module } =
        serde_json::from_slice(&body).map_err(|error| Problem::bad_json(wanted, &error))?;
    context.log_level(Request::SetLogLevel { level, module }).await
}

async fn upgrade(State(context): State<Context>) -> Answer {
    match context.ask(Request::Upgrade).await? {
        Reply::Upgrade(upgrade) => json(StatusCode::OK, upgrade, identity).await,
        other => Err(unexpected(&other)),
    }
}

async fn upgrade_data_plane(State(context): State<Context>) -> Answer {
    match context.ask(Request::UpgradeDataPlane).await? {
        Reply::DataPlaneUpgrade(upgrade) => json(StatusCode::OK, upgrade, identity).await,
        other => Err(unexpected(&other)),
    }
}

/// The stream of events: the only answer that has no end.
async fn listen(State(context): State<Context>, Extension(lasting): Extension<Lasting>) -> Answer {
    let limits = &context.limits;
    let Ok(place) = Arc::clone(&context.listeners).try_acquire_owned() else {
        return Err(events::too_many(limits.max_listeners));
    };
    lasting.set();
    Ok(context.subscriptions.stream(limits.alive_interval, place))
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-such-path",
        "No such path",
        format!(
            "there is no {}; there are /v1/ping, /v1/rules, /v1/rules/ID, /v1/config, /v1/stats, \
             /v1/workers, /v1/interfaces, /v1/mroute, /v1/igmp/groups, /v1/igmp/interfaces, \
             /v1/igmp/stats, /v1/events, /v1/log-level, /v1/upgrade and \
             /v1/dataplane/upgrade",
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
    pub(super) async fn ask(&self, request: Request) -> Result<Reply, Problem> {
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

    async fn log_level(&self, request: Request) -> Answer {
        match self.ask(request).await? {
            Reply::LogLevel(level) => json(StatusCode::OK, level, identity).await,
            other => Err(unexpected(&other)),
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
pub(super) fn unexpected(reply: &Reply) -> Problem {
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
pub(super) async fn json<V, T>(status: StatusCode, value: V, shape: fn(V) -> T) -> Answer
where
    V: Send + 'static,
    T: Serialize + 'static,
{
    let body = aside(move || written(&shape(value))).await?;
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

/// Answers longer than this are not indented, in bytes: no person reads them, and they are twice as fast.
const INDENTED: usize = 64 << 10;

fn written(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let compact = serde_json::to_vec(value)?;
    if compact.len() > INDENTED { Ok(compact) } else { serde_json::to_vec_pretty(value) }
}

/// Does work that may take long on a thread of its own.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a control request ended badly");
        internal("the request ended badly")
    })
}
