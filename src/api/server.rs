//! Connections: how many, how long, how much. Nothing that a client does or leaves undone holds up
//! the relay or, beyond these limits, another client.

use super::events::Subscriptions;
use super::routes;
use crate::control::event::{Refusal, Reply, Request};
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

/// One question to the core and where its answer goes. A receiver that is gone is not an error: the
/// client went away.
pub type Exchange = (Request, oneshot::Sender<Result<Reply, Refusal>>);

/// What one client, and all of them together, may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections that are served at once. Descriptors in use: this and `max_turned_away` and one.
    pub max_connections: usize,
    /// Connections beyond `max_connections` that are told 503 at once; more wait in the backlog.
    pub max_turned_away: usize,
    /// How long a connection beyond the limit may take to hear its 503.
    pub turn_away_timeout: Duration,
    /// From the connection to the end of the request's header.
    pub header_timeout: Duration,
    /// From the header to the end of the body.
    pub body_timeout: Duration,
    /// The whole connection.
    pub connection_timeout: Duration,
    /// How long the core may take.
    pub answer_timeout: Duration,
    /// How long open connections may go on after the shutdown.
    pub shutdown_grace: Duration,
    /// Bytes of a request's header, at least 8192.
    pub max_header: usize,
    /// Bytes of a request's body.
    pub max_body: usize,
    /// Bytes of a document of rules.
    pub max_document: usize,
    /// Bytes of a body too large that are read to the end, so that the client hears why.
    pub max_discard: usize,
    /// Clients that listen to events at once.
    pub max_listeners: usize,
    /// How long the stream of events may be silent: then a line says that it goes on, which also
    /// finds clients that have gone.
    pub alive_interval: Duration,
    /// The pause after accept() failed, for example for want of descriptors.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_turned_away: 32,
            turn_away_timeout: Duration::from_secs(1),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            connection_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(5),
            shutdown_grace: Duration::from_secs(1),
            max_header: 16 * 1024,
            max_body: 1024 * 1024,
            max_document: 16 * 1024 * 1024,
            max_discard: 64 * 1024 * 1024,
            max_listeners: 64,
            alive_interval: Duration::from_secs(10),
            accept_pause: Duration::from_millis(100),
        }
    }
}

/// Serves until `shutdown` completes, then lets open connections finish within
/// `limits.shutdown_grace` and removes the socket's file.
///
/// # Errors
/// None now: a failing accept() is logged, and tried again after a pause.
pub async fn serve(
    listener: UnixListener,
    to_core: mpsc::Sender<Exchange>,
    subscriptions: Subscriptions,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let file = SocketFile::of(&listener);
    let mut connections = JoinSet::new();
    let server = Server::new(to_core, subscriptions, limits.clone());
    let mut shutdown = std::pin::pin!(shutdown);
    let mut failures = 0u64;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = server.accept(&listener) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                if failures > 0 {
                    tracing::info!(failures, "control connections are accepted again");
                    failures = 0;
                }
                connections.spawn(server.connection(stream, place));
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, "cannot accept control connections");
                }
                failures += 1;
                tokio::select! {
                    () = &mut shutdown => break,
                    () = sleep(limits.accept_pause) => {}
                }
            }
        }
    }
    drop(listener);
    if let Some(file) = file {
        file.remove();
    }
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.shutdown_grace, finish).await.is_err() {
        connections.abort_all();
        while connections.join_next().await.is_some() {}
    }
    Ok(())
}

/// The listener's file, known by inode: another daemon's under the same path is left alone.
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn of(listener: &UnixListener) -> Option<Self> {
        let path = listener.local_addr().ok()?.as_pathname()?.to_owned();
        let inode = Self::inode(&path)?;
        Some(Self { path, inode })
    }

    fn inode(path: &Path) -> Option<(u64, u64)> {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// A file that stays is harmless: the next daemon replaces it.
    fn remove(&self) {
        if Self::inode(&self.path) == Some(self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Says of a connection that its answer has no end, so that it is not cut off.
#[derive(Clone, Debug, Default)]
pub(super) struct Lasting(Arc<AtomicBool>);

impl Lasting {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection's right to a descriptor.
enum Place {
    Served(OwnedSemaphorePermit),
    TurnedAway(OwnedSemaphorePermit),
}

struct Server {
    served: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    router: Router,
    busy_router: Router,
    limits: Limits,
}

impl Server {
    fn new(to_core: mpsc::Sender<Exchange>, subscriptions: Subscriptions, limits: Limits) -> Self {
        Self {
            served: Arc::new(Semaphore::new(limits.max_connections)),
            turned_away: Arc::new(Semaphore::new(limits.max_turned_away)),
            router: routes::router(to_core, subscriptions, limits.clone()),
            busy_router: routes::busy_router(limits.max_connections),
            limits,
        }
    }

    /// A connection, once there is a place for it. Cancelling this loses nothing.
    async fn accept(&self, listener: &UnixListener) -> io::Result<(UnixStream, Place)> {
        let place = tokio::select! {
            biased;
            Ok(permit) = Arc::clone(&self.served).acquire_owned() => Place::Served(permit),
            Ok(permit) = Arc::clone(&self.turned_away).acquire_owned() => Place::TurnedAway(permit),
            else => return Err(io::Error::other("the connection limits are closed")),
        };
        let (stream, _) = listener.accept().await?;
        // Waiting for the connection may have taken long enough for a place to become free.
        match (place, Arc::clone(&self.served).try_acquire_owned()) {
            (Place::TurnedAway(_), Ok(permit)) => Ok((stream, Place::Served(permit))),
            (place, _) => Ok((stream, place)),
        }
    }

    fn connection(&self, stream: UnixStream, place: Place) -> impl Future<Output = ()> + use<> {
        let limits = &self.limits;
        let lasting = Lasting::default();
        let (router, total, permit) = match place {
            Place::Served(permit) => (&self.router, limits.connection_timeout, permit),
            Place::TurnedAway(permit) => (&self.busy_router, limits.turn_away_timeout, permit),
        };
        let (router, marked) = (router.clone(), lasting.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(marked.clone());
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.max_header.max(8192))
            .keep_alive(false)
            // A client that shuts down its sending side after the request still gets its answer.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        async move {
            let mut connection = std::pin::pin!(connection);
            let ended = match timeout(total, &mut connection).await {
                Err(_) if lasting.is_set() => Ok(connection.await),
                ended => ended,
            };
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "control connection ended badly"),
                Err(_) => tracing::debug!("control connection took too long"),
            }
            drop(permit);
        }
    }
}
