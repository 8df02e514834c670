//! The client: one request, one connection.

use super::problem::Problem;
use super::v1::{Document, InterfaceStatus, Mroute, Pong, RuleJson, StatsJson, WorkerStatus};
use crate::types::Origin;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use nix::unistd::{Gid, Group};
use serde::de::DeserializeOwned;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Longer than the daemon takes at most to say that it cannot answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The largest answer that is read, bytes.
const MAX_ANSWER: usize = 512 * 1024 * 1024;

type Sender = http1::SendRequest<Full<Bytes>>;
type Connection = http1::Connection<TokioIo<UnixStream>, Full<Bytes>>;

/// Asks the daemon behind one control socket.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
    timeout: Duration,
}

/// Why a request brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No daemon could be asked; the text says what to do.
    #[error("{0}")]
    Unreachable(String),
    /// The daemon refused.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// What answered does not speak this API.
    #[error("{0}")]
    Protocol(String),
}

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, 200 to 299.
    pub status: u16,
    /// The JSON document.
    pub body: String,
}

impl Answer {
    /// The document as a value.
    ///
    /// # Errors
    /// `Protocol` where it is not what this version expects.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.body).map_err(|error| {
            ClientError::Protocol(format!(
                "the daemon's answer is not what this version of mcrctl understands ({error}); \
                 are mcrd and mcrctl of the same version?"
            ))
        })
    }
}

impl Client {
    /// A client of the daemon that listens on `path`. Nothing is opened yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), timeout: TIMEOUT }
    }

    /// The same client with another limit on the time from connecting to the end of the answer.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Who answers.
    ///
    /// # Errors
    /// [`ClientError`]; so for all methods.
    pub async fn ping(&self) -> Result<Pong, ClientError> {
        self.get("/v1/ping").await?.read()
    }

    /// All rules.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rules(&self) -> Result<Vec<RuleJson>, ClientError> {
        self.get("/v1/rules").await?.read()
    }

    /// One rule by id, name or `origin/name`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rule(&self, key: &str) -> Result<RuleJson, ClientError> {
        self.get(&rule_path(key)).await?.read()
    }

    /// Adds a rule, written as in the configuration file, with an `id` or without. True: it is new;
    /// false: the same rule was there already.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn add_rule(
        &self,
        rule: &serde_json::Value,
    ) -> Result<(RuleJson, bool), ClientError> {
        let answer = self.post("/v1/rules", rule).await?;
        Ok((answer.read()?, answer.status == StatusCode::CREATED.as_u16()))
    }

    /// Removes a rule of origin `runtime` by id, name or `runtime/name`; the rule as it was.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_rule(&self, key: &str) -> Result<RuleJson, ClientError> {
        self.delete_rule(key).await?.read()
    }

    /// All counters.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stats(&self) -> Result<StatsJson, ClientError> {
        self.get("/v1/stats").await?.read()
    }

    /// The workers.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn workers(&self) -> Result<Vec<WorkerStatus>, ClientError> {
        self.get("/v1/workers").await?.read()
    }

    /// The interfaces.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn interfaces(&self) -> Result<Vec<InterfaceStatus>, ClientError> {
        self.get("/v1/interfaces").await?.read()
    }

    /// Forwarding entries and memberships.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn mroute(&self) -> Result<Mroute, ClientError> {
        self.get("/v1/mroute").await?.read()
    }

    /// What there is to know of IGMP: `groups`, `interfaces` or `stats`, of one interface or of all.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn igmp(&self, what: &str, interface: Option<&str>) -> Result<Answer, ClientError> {
        let path = format!("/v1/igmp/{what}");
        match interface {
            Some(name) => self.get(&encoded(&format!("{path}?interface="), name)).await,
            None => self.get(&path).await,
        }
    }

    /// Asks for a document, as it comes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(Method::GET, path, String::new()).await
    }

    /// Sends a document; the answer as it comes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Answer, ClientError> {
        self.ask(Method::POST, path, body.to_string()).await
    }

    /// Like [`Self::remove_rule`]; the answer as it comes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_rule(&self, key: &str) -> Result<Answer, ClientError> {
        self.ask(Method::DELETE, &rule_path(key), String::new()).await
    }

    /// Replaces a document; the answer as it comes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put(&self, path: &str, body: &serde_json::Value) -> Result<Answer, ClientError> {
        self.ask(Method::PUT, path, body.to_string()).await
    }

    /// What [`Self::delete_rule`] would do; the answer as it comes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn try_delete_rule(&self, key: &str) -> Result<Answer, ClientError> {
        let path = format!("{}?dryRun=true", rule_path(key));
        self.ask(Method::DELETE, &path, String::new()).await
    }

    /// The running rules as a document: of one origin, or all.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn config(&self, origin: Option<Origin>) -> Result<Document, ClientError> {
        let query = origin.map(|origin| format!("?origin={origin}")).unwrap_or_default();
        self.get(&format!("/v1/config{query}")).await?.read()
    }

    /// One request within the time; `body` is JSON where it is not empty.
    async fn ask(&self, method: Method, path: &str, body: String) -> Result<Answer, ClientError> {
        match timeout(self.timeout, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.too_late()),
        }
    }

    pub(super) fn too_late(&self) -> ClientError {
        ClientError::Unreachable(format!(
            "{}: no answer within {:?}; is that mcrd, and is it overloaded?",
            self.path.display(),
            self.timeout
        ))
    }

    pub(super) fn limit(&self) -> Duration {
        self.timeout
    }

    pub(super) fn no_http(&self, error: &hyper::Error) -> ClientError {
        ClientError::Protocol(format!(
            "{}: what answers there broke off or does not speak HTTP ({error}); is it mcrd?",
            self.path.display()
        ))
    }

    pub(super) async fn connect(&self) -> Result<(Sender, Connection), ClientError> {
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|error| ClientError::Unreachable(why_unreachable(&self.path, &error)))?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        shaken.map_err(|error| self.no_http(&error))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Answer, ClientError> {
        let (mut sender, connection) = self.connect().await?;
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "mcr");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| ClientError::Protocol(format!("cannot ask for {path}: {error}")))?;
        let answer = async {
            let response =
                sender.send_request(request).await.map_err(|error| self.no_http(&error))?;
            Ok((response.status(), whole(response.into_body()).await?))
        };
        let mut answer = std::pin::pin!(answer);
        let mut connection = std::pin::pin!(connection);
        // The connection does the work; it ends with the answer or before it.
        let (status, body) = tokio::select! {
            biased;
            answer = &mut answer => answer?,
            _ = &mut connection => answer.await?,
        };
        understand(status, &body)
    }
}

/// A body to its end.
pub(super) async fn whole(body: Incoming) -> Result<Bytes, ClientError> {
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
        ClientError::Protocol(format!("the daemon's answer broke off: {error}"))
    })?;
    Ok(body.to_bytes())
}

pub(super) fn understand(status: StatusCode, body: &[u8]) -> Result<Answer, ClientError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| ClientError::Protocol("the daemon's answer is not text".into()))?;
    if status.is_success() {
        return Ok(Answer { status: status.as_u16(), body: text.to_owned() });
    }
    match serde_json::from_str::<Problem>(text) {
        Ok(problem) => Err(ClientError::Refused(problem)),
        Err(_) => Err(ClientError::Protocol(format!("the daemon answered only \"{status}\""))),
    }
}

/// The path of a rule, whatever characters its name has.
fn rule_path(key: &str) -> String {
    encoded("/v1/rules/", key)
}

/// A path or query and, behind it, a text that may have any characters (RFC 3986 section 2.1).
fn encoded(before: &str, text: &str) -> String {
    let mut path = before.to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

fn why_unreachable(path: &Path, error: &io::Error) -> String {
    let place = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "no control socket at {place}: is mcrd running? If it was started with another \
             --control-socket-path, give that path with --socket-path or MCR_SOCKET"
        ),
        io::ErrorKind::ConnectionRefused => format!(
            "nobody answers at {place}: mcrd is not running, it left this socket behind; start mcrd"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to open {place}: {}", who_may(path))
        }
        _ => format!("cannot connect to {place}: {error}"),
    }
}

/// What a person who may not open the socket can do about it.
fn who_may(path: &Path) -> String {
    let gid = std::fs::metadata(path).ok().map(|m| Gid::from_raw(m.gid()));
    let group = gid.filter(|gid| gid.as_raw() != 0).and_then(|gid| Group::from_gid(gid).ok()?);
    match group {
        Some(group) => format!(
            "it is open to root and to group {name}; use sudo, or have yourself added \
             (sudo usermod -aG {name} $USER) and log in again",
            name = group.name
        ),
        None => "use sudo".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_characters_make_one_path_segment() {
        assert_eq!(rule_path("runtime/cam 1"), "/v1/rules/runtime%2Fcam%201");
        assert_eq!(rule_path("ä?#%"), "/v1/rules/%C3%A4%3F%23%25");
        assert_eq!(rule_path("a-b_c.d~9"), "/v1/rules/a-b_c.d~9");
    }

    #[test]
    fn each_reason_to_be_unreachable_says_what_to_do() {
        let path = Path::new("/run/mcr/control.sock");
        let say = |kind: io::ErrorKind| why_unreachable(path, &io::Error::from(kind));
        let missing = say(io::ErrorKind::NotFound);
        assert!(missing.contains("is mcrd running?") && missing.contains("--socket-path"));
        assert!(say(io::ErrorKind::ConnectionRefused).contains("start mcrd"));
        assert!(say(io::ErrorKind::PermissionDenied).contains("sudo"));
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused] {
            assert!(say(kind).contains("/run/mcr/control.sock"));
        }
    }

    #[test]
    fn an_error_without_a_problem_document_is_a_protocol_error() {
        let error = understand(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, b"").expect_err("431");
        assert!(matches!(&error, ClientError::Protocol(text) if text.contains("431")), "{error}");
        assert!(matches!(understand(StatusCode::OK, b"\xff"), Err(ClientError::Protocol(_))));
    }
}
