//! Reading a request's body, within bounds.

use super::problem::Problem;
use super::routes::Context;
use super::server::Limits;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

impl Context {
    /// The body, at most `max` bytes and within `body_timeout`.
    ///
    /// # Errors
    /// 413, 408, or 400 where it breaks off.
    pub(super) async fn read_body(
        &self,
        max: usize,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Vec<u8>, Problem> {
        read_body(&self.limits, max, headers, body).await
    }
}

/// A client that writes everything before it reads would see a broken pipe and not our refusal if
/// we closed at once; so up to `max_discard` bytes beyond the limit are read and thrown away.
async fn read_body(
    limits: &Limits,
    max: usize,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            format!("a request body has at most {} bytes", max),
        )
    };
    let declared: Option<usize> =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let waits_for_leave = headers.contains_key(header::EXPECT);
    if declared.is_some_and(|n| n > limits.max_discard || (n > max && waits_for_leave)) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut total = 0usize;
    let read = timeout(
        limits.body_timeout,
        collect(limits.max_discard, max, body, &mut bytes, &mut total),
    )
    .await;
    if total > max {
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
    max_discard: usize,
    max: usize,
    mut body: Body,
    bytes: &mut Vec<u8>,
    total: &mut usize,
) -> Result<(), axum::Error> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        *total = total.saturating_add(data.len());
        if *total <= max {
            bytes.extend_from_slice(&data);
        } else {
            *bytes = Vec::new();
            if *total > max_discard {
                break;
            }
        }
    }
    Ok(())
}
