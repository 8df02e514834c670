//! The client's side of the stream of events.

use super::client::{Client, ClientError};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, header};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A line longer than this is not an event, bytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// Events as they come, until it is dropped.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    waiting: Vec<u8>,
    connection: JoinHandle<()>,
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl EventStream {
    /// The next line, a JSON object, without its line end; none where the daemon has ended the stream.
    ///
    /// # Errors
    /// `Unreachable` where the stream broke off, `Protocol` where it is not one of events.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                let line = String::from_utf8(line)
                    .map_err(|_| ClientError::Protocol("an event is not text".into()))?;
                return Ok(Some(line.trim_end().to_owned()));
            }
            if self.waiting.len() > LONGEST {
                return Err(ClientError::Protocol("an event is longer than 16 MiB".into()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.waiting.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    let text = format!("the stream of events broke off: {error}");
                    return Err(ClientError::Unreachable(text));
                }
            }
        }
    }
}

impl Client {
    /// Listens to events from now on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        let open = async {
            let (mut sender, connection) = self.connect().await?;
            // An error of the connection is one of the body, too.
            let connection = tokio::spawn(async move { drop(connection.await) });
            let request = hyper::Request::builder()
                .method(Method::GET)
                .uri("/v1/events")
                .header(header::HOST, "mcr")
                .body(Default::default())
                .map_err(|error| ClientError::Protocol(format!("cannot ask: {error}")))?;
            let response =
                sender.send_request(request).await.map_err(|error| self.no_http(&error))?;
            let (status, body) = (response.status(), response.into_body());
            if status.is_success() {
                return Ok(EventStream { body, waiting: Vec::new(), connection });
            }
            let refusal = super::client::whole(body).await?;
            super::client::understand(status, &refusal)?;
            Err(ClientError::Protocol(format!("the daemon answered only \"{status}\"")))
        };
        match timeout(self.limit(), open).await {
            Ok(stream) => stream,
            Err(_) => Err(self.too_late()),
        }
    }
}
