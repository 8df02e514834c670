//! Server and client against each other, and the server against clients that mean no good.

mod core;
mod documents;
mod events;
mod hostile;
mod random;
mod requests;

use super::fake_core::Daemon;
use super::{ClientError, Limits, Problem};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// Sends bytes as they are, reads to the end.
async fn raw(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.expect("connects");
    // The server may refuse before it has read everything.
    let _ = stream.write_all(request).await;
    read(&mut stream).await
}

async fn read(stream: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    let end = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server hangs up");
    if let Err(error) = end {
        // It closed with bytes of ours unread.
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(answer).expect("text")
}

fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {answer:?}"));
    code.parse().expect("a number")
}

fn problem(answer: &str) -> Problem {
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let problem: Problem = serde_json::from_str(body).expect("a problem document");
    assert_eq!(problem.status, status(answer));
    problem
}

fn post(body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn still_serves(daemon: &Daemon) {
    assert_eq!(daemon.client().ping().await.expect("it still serves").pid, 42);
}

fn spec() -> Value {
    json!({"id": "r1", "name": "cam 1",
           "input": {"interface": "eth0", "group": "239.1.1.1", "port": 5000},
           "outputs": [{"interface": "eth1", "group": "239.2.2.2", "port": 6000}]})
}

fn refused(error: ClientError) -> Problem {
    match error {
        ClientError::Refused(problem) => problem,
        other => panic!("{other:?}"),
    }
}

fn short() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(150),
        body_timeout: Duration::from_millis(150),
        connection_timeout: Duration::from_millis(600),
        turn_away_timeout: Duration::from_millis(150),
        ..Limits::default()
    }
}
