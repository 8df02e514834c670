//! Refusals as problem documents (RFC 9457).

use crate::config::{Diagnostic, Diagnostics};
use crate::control::event::Refusal;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a request was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What kind of problem, for programs: `urn:mcr:problem:invalid-rule`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// This occurrence in words: what is wrong and what would be right.
    pub detail: String,
    /// Each mistake of the request body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
}

/// One mistake in a request body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemError {
    /// Where, as a path through the document: `outputs[1].group`. Empty for the document itself.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// The line, from 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, from 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &str, title: &str, detail: String) -> Self {
        Self {
            kind: format!("urn:mcr:problem:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail,
            errors: Vec::new(),
        }
    }

    /// The relay cannot answer now.
    pub(super) fn unavailable(why: &str) -> Self {
        Refusal::Unavailable(why.to_owned()).into()
    }

    /// The body is not JSON at all; `wanted` says what it should be.
    pub(super) fn bad_json(wanted: &str, error: &serde_json::Error) -> Self {
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            "bad-json",
            "The body is not JSON",
            format!("the body must be {wanted}: {error}"),
        );
        problem.errors.push(ProblemError {
            path: String::new(),
            message: error.to_string(),
            line: u32::try_from(error.line()).ok(),
            column: u32::try_from(error.column()).ok(),
        });
        problem
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let mut errors = Vec::new();
        let (status, kind, title) = match refusal {
            Refusal::Conflicts(conflicts) => {
                errors.extend(conflicts.into_iter().map(|conflict| ProblemError {
                    path: format!("rules[{}].{}", conflict.index, conflict.key),
                    message: conflict.text,
                    line: None,
                    column: None,
                }));
                (StatusCode::CONFLICT, "conflicts", "Rules are in conflict with others")
            }
            Refusal::BadLogLevel(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "bad-log-level", "Not a log level")
            }
            Refusal::NoSuchRule(_) => (StatusCode::NOT_FOUND, "no-such-rule", "No such rule"),
            Refusal::Ambiguous { .. } => {
                (StatusCode::CONFLICT, "ambiguous-name", "The name is ambiguous")
            }
            Refusal::IdTaken { .. } => (StatusCode::CONFLICT, "id-taken", "The id is taken"),
            Refusal::NameTaken { .. } => (StatusCode::CONFLICT, "name-taken", "The name is taken"),
            Refusal::NotYours { .. } => {
                (StatusCode::FORBIDDEN, "not-yours", "The rule belongs to another origin")
            }
            Refusal::TooManyRules { .. } => {
                (StatusCode::CONFLICT, "too-many-rules", "Too many rules")
            }
            Refusal::NoUpgrade(_) => (StatusCode::CONFLICT, "no-upgrade", "No upgrade"),
            Refusal::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now")
            }
        };
        Self { errors, ..Self::new(status, kind, title, detail) }
    }
}

impl From<Diagnostic> for ProblemError {
    fn from(one: Diagnostic) -> Self {
        Self { path: one.path, message: one.message, line: one.line, column: one.column }
    }
}

impl From<Diagnostics> for Problem {
    fn from(diagnostics: Diagnostics) -> Self {
        let errors = diagnostics.list.into_iter().map(ProblemError::from).collect();
        Self::of_errors("rule", errors)
    }
}

impl Problem {
    /// Mistakes in a document of rules.
    pub fn of_document(diagnostics: Diagnostics) -> Self {
        let errors = diagnostics.list.into_iter().map(ProblemError::from).collect();
        Self::of_errors("document", errors)
    }

    /// Mistakes in a body, which should be a `what`.
    pub(super) fn of_errors(what: &str, errors: Vec<ProblemError>) -> Self {
        let detail = match errors.len() {
            1 => format!("the {what} has a mistake"),
            n => format!("the {what} has {n} mistakes"),
        };
        let kind = format!("invalid-{what}");
        let title = format!("The {what} is not valid");
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { errors, ..Self::new(status, &kind, &title, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = serde_json::to_vec_pretty(&self).unwrap_or_default();
        body.push(b'\n');
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Diagnostic;
    use crate::types::Origin;

    #[test]
    fn refusals_have_the_status_that_says_who_must_act() {
        let text = || "x".to_owned();
        let table = [
            (Refusal::NoSuchRule(text()), 404),
            (Refusal::Ambiguous { name: text(), candidates: text() }, 409),
            (Refusal::IdTaken { id: text(), owner: text() }, 409),
            (Refusal::NameTaken { name: text(), id: text() }, 409),
            (Refusal::NotYours { rule: text(), origin: Origin::File, remedy: text() }, 403),
            (Refusal::TooManyRules { limit: 7 }, 409),
            (Refusal::Unavailable(text()), 503),
        ];
        for (refusal, status) in table {
            let said = refusal.to_string();
            let problem = Problem::from(refusal);
            assert_eq!((problem.status, problem.detail), (status, said));
        }
    }

    #[test]
    fn diagnostics_keep_path_line_and_column() {
        let list = vec![Diagnostic {
            line: Some(3),
            column: Some(9),
            path: "outputs[0].group".into(),
            message: "10.0.0.1 is not a multicast address".into(),
        }];
        let problem = Problem::from(Diagnostics { source: "request".into(), list });
        assert_eq!(
            serde_json::to_value(problem).expect("serialises"),
            serde_json::json!({
                "type": "urn:mcr:problem:invalid-rule",
                "title": "The rule is not valid",
                "status": 422,
                "detail": "the rule has a mistake",
                "errors": [{"path": "outputs[0].group", "line": 3, "column": 9,
                            "message": "10.0.0.1 is not a multicast address"}],
            })
        );
    }
}
