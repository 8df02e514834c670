//! L5, the control API: HTTP/1.1 and JSON over a Unix socket, server and client.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/ping` | who answers |
//! | `GET /v1/rules` | all rules with state and counters |
//! | `POST /v1/rules` | adds a rule: 201 new, 200 it was there already |
//! | `GET /v1/rules/{idOrName}` | one rule |
//! | `DELETE /v1/rules/{idOrName}` | removes a rule; the answer is the rule as it was |
//! | `PUT /v1/rules` | makes the rules of origin `runtime` those of a document, or changes nothing |
//! | `GET /v1/config` | the running rules as a document; `?origin=runtime` those of one origin |
//! | `GET /v1/events` | what changes, one JSON object a line, without end |
//! | `GET`, `PUT /v1/log-level` | what is logged |
//! | `GET /v1/stats`, `/v1/workers`, `/v1/interfaces`, `/v1/mroute` | counters, workers, interfaces, forwarding state |
//! | `GET /v1/igmp/groups`, `/v1/igmp/interfaces`, `/v1/igmp/stats` | members on our links and how IGMP runs; `?interface=eth1` on one |
//!
//! `?dryRun=true` on POST, PUT and DELETE answers what the change would do, and does nothing.
//! A name with a slash (`runtime/cam`) is percent-encoded in the path. Every refusal is a problem
//! document (RFC 9457, [`Problem`]). A connection carries one request.

mod bind;
mod body;
mod client;
mod endpoints;
mod events;
mod igmp;
mod listen;
mod problem;
mod routes;
mod rule_set;
mod server;
mod timestamp;
pub mod v1;

pub use bind::{BindError, bind};
pub use client::{Answer, Client, ClientError};
pub use endpoints::ROUTES;
pub use events::{Publisher, Subscriptions};
pub use listen::EventStream;
pub use problem::{Problem, ProblemError};
pub use server::{Exchange, Limits, serve};

/// Where the daemon listens and `mcrctl` looks unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/mcr/control.sock";

#[cfg(test)]
pub(crate) mod fake_core;
#[cfg(test)]
mod tests;
