//! The stream of events: each notice once as a line of JSON, spread to all who listen.
//!
//! Nobody waits for a listener. One that is slow loses the oldest lines and is told how many; one
//! that has gone is found by the line `alive`, which comes when nothing else does.

use super::problem::Problem;
use super::timestamp::rfc3339;
use crate::control::notice::Notice;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use hyper::body::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::timeout;

/// Lines kept for listeners that are slow.
const KEPT: usize = 1024;

/// A notice as listeners get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventJson {
    /// Counts up by one from event to event over the life of the daemon.
    pub sequence: u64,
    /// When it was told: RFC 3339, UTC.
    pub time: String,
    /// What has changed.
    #[serde(flatten)]
    pub notice: Notice,
}

#[derive(Clone, Debug)]
struct Line {
    bytes: Bytes,
    /// Nothing follows.
    last: bool,
}

/// Tells all listeners.
#[derive(Debug)]
pub struct Publisher {
    lines: broadcast::Sender<Line>,
    sequence: Arc<AtomicU64>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self { lines: broadcast::Sender::new(KEPT), sequence: Arc::default() }
    }
}

impl Publisher {
    /// Tells a notice to all who listen now. [`Notice::Stopping`] ends their streams.
    pub fn publish(&self, now: SystemTime, notice: Notice) {
        let last = notice == Notice::Stopping;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let event = EventJson { sequence, time: rfc3339(now), notice };
        match serde_json::to_value(&event) {
            // Nobody may be listening.
            Ok(event) => drop(self.lines.send(Line { bytes: line(&event), last })),
            Err(error) => tracing::error!(%error, "an event does not serialise"),
        }
    }

    /// For the server: the way to listen.
    pub fn subscriptions(&self) -> Subscriptions {
        Subscriptions { lines: self.lines.clone(), sequence: Arc::clone(&self.sequence) }
    }
}

/// The way to listen.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    lines: broadcast::Sender<Line>,
    sequence: Arc<AtomicU64>,
}

struct Listener {
    lines: broadcast::Receiver<Line>,
    /// Sent first: says from where on nothing is missed.
    greeting: Option<Bytes>,
    alive: Duration,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Subscriptions {
    /// A response that goes on until the listener or the daemon ends it. `alive`: how long it may be
    /// silent; `place`: what it occupies for as long.
    pub(super) fn stream(&self, alive: Duration, place: OwnedSemaphorePermit) -> Response {
        let lines = self.lines.subscribe();
        let sequence = self.sequence.load(Ordering::Relaxed);
        let greeting = Some(line(&json!({"event": "subscribed", "sequence": sequence})));
        let listener = Listener { lines, greeting, alive, ended: false, _place: place };
        let body = Body::from_stream(told(listener));
        ([(header::CONTENT_TYPE, "application/jsonl")], body).into_response()
    }
}

fn told(listener: Listener) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        let bytes = listener.next().await?;
        Some((Ok(bytes), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        if self.ended {
            return None;
        }
        match timeout(self.alive, self.lines.recv()).await {
            Err(_) => Some(line(&json!({"event": "alive"}))),
            Ok(Ok(next)) => {
                self.ended = next.last;
                Some(next.bytes)
            }
            Ok(Err(RecvError::Lagged(lost))) => {
                Some(line(&json!({"event": "lagged", "lost": lost})))
            }
            Ok(Err(RecvError::Closed)) => None,
        }
    }
}

fn line(value: &serde_json::Value) -> Bytes {
    let mut text = value.to_string();
    text.push('\n');
    text.into()
}

/// More listen than may.
pub(super) fn too_many(limit: usize) -> Problem {
    Problem::unavailable(&format!("{limit} clients listen to events, which is the limit"))
}
