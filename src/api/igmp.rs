//! What can be asked about IGMP.

use super::problem::Problem;
use super::routes::{Answer, Context, json, unexpected};
use super::rule_set::{Asked, query};
use crate::control::event::{Reply, Request};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::convert::identity;

/// `?interface=eth1`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct On {
    interface: Option<String>,
}

fn on(asked: Asked<On>) -> Result<Option<String>, Problem> {
    Ok(query(asked, "interface=NAME")?.interface)
}

/// `GET /v1/igmp/groups`.
pub(super) async fn groups(State(context): State<Context>, asked: Asked<On>) -> Answer {
    match context.ask(Request::IgmpGroups(on(asked)?)).await? {
        Reply::IgmpGroups(groups) => json(StatusCode::OK, groups, identity).await,
        other => Err(unexpected(&other)),
    }
}

/// `GET /v1/igmp/interfaces`.
pub(super) async fn interfaces(State(context): State<Context>, asked: Asked<On>) -> Answer {
    match context.ask(Request::IgmpInterfaces(on(asked)?)).await? {
        Reply::IgmpInterfaces(interfaces) => json(StatusCode::OK, interfaces, identity).await,
        other => Err(unexpected(&other)),
    }
}

/// `GET /v1/igmp/stats`.
pub(super) async fn statistics(State(context): State<Context>, asked: Asked<On>) -> Answer {
    match context.ask(Request::IgmpStats(on(asked)?)).await? {
        Reply::IgmpStats(statistics) => json(StatusCode::OK, statistics, identity).await,
        other => Err(unexpected(&other)),
    }
}
