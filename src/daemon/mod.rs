//! L5, the running relay: builds everything, owns the one event loop, dispatches.

pub mod arguments;
mod dispatch;
mod limits;
mod questions;

use crate::api;
use crate::clock;
use crate::config::{self, Diagnostics, Loaded};
use crate::control::event::{Event, Refusal, Reply, Request};
use crate::control::router::Router;
use crate::dataplane::link::{FromWorker, ToWorker};
use crate::dataplane::pool::{IoChoice, Pool, Settings};
use crate::netlink::Monitor;
use crate::telemetry;
use crate::types::{NetEvent, Origin, Time};
use anyhow::Context;
use dispatch::Sockets;
use futures::FutureExt;
use questions::Questions;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

/// Questions waiting for the loop; beyond that, askers wait.
const QUESTIONS: usize = 256;
/// Network events that one turn of the loop takes before it compiles.
const EVENTS_A_TURN: usize = 256;
/// How often idle egress sockets are looked for.
const AGE: Duration = Duration::from_secs(60);
/// A worker that died is started again after this, and later each time, up to [`RESTART_MAX`].
const RESTART_MIN: Duration = Duration::from_millis(50);
const RESTART_MAX: Duration = Duration::from_secs(5);

/// What `mcrd run` was told on its command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file; none = no rules but those added at run time.
    pub config: Option<PathBuf>,
    /// The control socket; none = as the file says, else [`api::DEFAULT_SOCKET`].
    pub socket: Option<PathBuf>,
    /// The log filter; none = as the file says, else "info".
    pub log_level: Option<String>,
}

/// Why the relay did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration file is wrong; every mistake is named.
    #[error("{0}")]
    Config(#[from] Diagnostics),
    /// Something else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// Runs the relay until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), StartError> {
    let loaded = match &options.config {
        Some(path) => config::load_file(path)?,
        None => config::load_text("built-in defaults", "{}")?,
    };
    let level = options.log_level.as_deref().unwrap_or(loaded.log.level.name());
    let format = match loaded.log.format {
        config::LogFormat::Json => telemetry::Format::Json,
        config::LogFormat::Auto | config::LogFormat::Text => telemetry::Format::Text,
    };
    telemetry::start_logging(level, format).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async { Daemon::start(options, loaded)?.serve().await })?;
    Ok(())
}

struct Daemon {
    router: Router,
    monitor: Monitor,
    pool: Pool,
    reports: mpsc::UnboundedReceiver<(u32, FromWorker)>,
    asked: mpsc::Receiver<api::Exchange>,
    sockets: Sockets,
    questions: Questions,
    config: Option<PathBuf>,
    /// The settings that take effect at a start only, to say so when a reload changes them.
    settings: (config::Dataplane, config::ControlSettings, config::LogSettings),
    restarts: Vec<(Time, u32)>,
    stop_api: oneshot::Sender<()>,
    api: tokio::task::JoinHandle<std::io::Result<()>>,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Daemon {
    fn start(options: &Options, loaded: Loaded) -> anyhow::Result<Self> {
        let settings = (loaded.dataplane.clone(), loaded.control.clone(), loaded.log.clone());
        // Signals first: one that comes while we start must not kill us half-way.
        let hangup = signal(SignalKind::hangup())?;
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let monitor = Monitor::start().context("cannot watch the network by rtnetlink")?;
        let (report, reports) = mpsc::unbounded_channel();
        let io = match loaded.dataplane.io {
            config::Io::Auto => IoChoice::Auto,
            config::Io::IoUring => IoChoice::IoUring,
            config::Io::Syscalls => IoChoice::Syscalls,
        };
        let workers = loaded.dataplane.workers;
        let buffers = loaded.dataplane.buffers;
        let egress_sockets = limits::egress_sockets(limits::raise_descriptors(), workers);
        let settings_of_workers = Settings { workers, io, egress_sockets, buffers };
        let pool =
            Pool::start(settings_of_workers, report).context("cannot start a worker thread")?;
        let now = clock::now();
        let mut router = Router::new(now, workers, std::process::id());
        let set = loaded.rules;
        info!(rules = set.len(), workers, "starting");
        router.handle(now, Event::Rules { origin: Origin::File, set })?;

        let (ask, asked) = mpsc::channel(QUESTIONS);
        let path = options.socket.clone().or(loaded.control.socket);
        let path = path.unwrap_or_else(|| PathBuf::from(api::DEFAULT_SOCKET));
        let listener = api::bind(&path, loaded.control.group.as_deref())?;
        let (stop_api, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            // Sent or dropped: both mean stop.
            let _ = stopped.await;
        };
        let api = tokio::spawn(api::serve(listener, ask, api::Limits::default(), shutdown));
        info!(socket = %path.display(), "control socket is open");
        Ok(Self {
            router,
            monitor,
            pool,
            reports,
            asked,
            sockets: Sockets::new(workers),
            questions: Questions::default(),
            config: options.config.clone(),
            settings,
            restarts: Vec::new(),
            stop_api,
            api,
            hangup,
            terminate,
            interrupt,
        })
    }

    /// The event loop. Each turn takes what has happened, lets the core draw the consequences once,
    /// and does what it asks for.
    async fn serve(mut self) -> anyhow::Result<()> {
        let mut age = tokio::time::interval(AGE);
        loop {
            self.settle();
            let wait = self.next_wake();
            tokio::select! {
                event = self.monitor.next() => self.network(event),
                Some((worker, message)) = self.reports.recv() => self.worker_said(worker, message),
                Some((request, reply)) = self.asked.recv() => self.ask(request, reply),
                _ = self.hangup.recv() => self.reload(),
                _ = age.tick() => self.sockets.to_all(&self.pool, || ToWorker::Age),
                () = tokio::time::sleep(wait) => self.timeouts(),
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
            }
        }
        info!("stopping");
        // The file goes with the listener; a client that is being served gets its answer cut.
        let _ = self.stop_api.send(());
        self.asked.close();
        if let Ok(Err(error)) = self.api.await {
            warn!(%error, "control socket failed while stopping");
        }
        self.pool.stop();
        Ok(())
    }

    fn settle(&mut self) {
        let now = clock::now();
        self.router.settle(now);
        while let Some(output) = self.router.poll_output() {
            for event in self.sockets.dispatch(&self.pool, output) {
                self.tell(event);
            }
        }
    }

    /// Hands the core an event that asks for nothing, so cannot be refused.
    fn tell(&mut self, event: Event) {
        if let Err(refusal) = self.router.handle(clock::now(), event) {
            error!(error = %refusal, "event refused");
        }
    }

    fn network(&mut self, first: NetEvent) {
        let mut resynced = matches!(first, NetEvent::Snapshot(_));
        self.tell(Event::Net(first));
        for _ in 0..EVENTS_A_TURN {
            match self.monitor.next().now_or_never() {
                Some(event) => {
                    resynced |= matches!(event, NetEvent::Snapshot(_));
                    self.tell(Event::Net(event));
                }
                None => break,
            }
        }
        if resynced {
            // What was missed may be an interface that went and came back.
            for index in self.sockets.unbound() {
                self.tell(Event::InterfaceReplaced(index));
            }
        }
    }

    fn worker_said(&mut self, worker: u32, message: FromWorker) {
        match message {
            FromWorker::Ready { tier, reason } => {
                let tier = tier.name().to_owned();
                match &reason {
                    None => info!(worker, tier, "worker runs"),
                    Some(reason) => {
                        warn!(worker, tier, reason, "worker runs without io_uring: slower")
                    }
                }
                self.tell(Event::WorkerReady { worker, tier, reason });
            }
            FromWorker::Programmed(generation) => {
                self.tell(Event::Programmed { worker, generation });
            }
            FromWorker::Closed { port, counters, failure } => {
                if let Some(reason) = &failure {
                    warn!(worker, port = port.0, error = reason, "input port failed");
                }
                if let Some(event) = self.sockets.closed(port.0) {
                    self.tell(event);
                }
                self.tell(Event::PortClosed { port: port.0, counters: *counters, failure });
            }
            FromWorker::Report(report) => {
                let request = report.request;
                self.tell(dispatch::report_event(worker, *report));
                self.questions.reported(worker, request);
                self.answer_ready();
            }
            FromWorker::Died(reason) => {
                error!(worker, error = reason, "worker died");
                self.sockets.worker_died(worker);
                self.questions.worker_died(worker);
                self.tell(Event::WorkerDied { worker, reason });
                let earlier = self.router.deaths(worker).saturating_sub(1);
                let delay = RESTART_MIN.saturating_mul(1 << earlier.min(10)).min(RESTART_MAX);
                self.restarts.push((clock::now().plus(delay), worker));
                self.answer_ready();
            }
        }
    }

    fn ask(&mut self, request: Request, reply: questions::ReplySender) {
        let now = clock::now();
        let changed = match &request {
            Request::AddRule(rule) => match self.router.has(rule) {
                Some(status) => {
                    let _ = reply.send(Ok(Reply::Unchanged(Box::new(status))));
                    return;
                }
                None => self.router.handle(now, Event::AddRule(rule.clone())),
            },
            Request::RemoveRule(selector) => {
                // The rule as it was: afterwards it is not there to be shown.
                let removed = self.router.answer(now, &request);
                let event = Event::RemoveRule(selector.clone());
                let outcome = self.router.handle(now, event).and(removed);
                self.settle();
                // The asker may have gone; that is its affair.
                let _ = reply.send(outcome);
                return;
            }
            _ => Ok(()),
        };
        match changed {
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
            }
            Ok(()) if !waits_for_workers(&request) => {
                // The asker may have gone; that is its affair.
                let _ = reply.send(self.router.answer(now, &request));
            }
            Ok(()) => {
                self.settle();
                let number = self.questions.ask(request, reply, self.sockets.running(), now);
                self.sockets.to_all(&self.pool, || ToWorker::Collect(number));
                self.answer_ready();
            }
        }
    }

    /// Answers the questions for which all workers have reported, or the time is over.
    fn answer_ready(&mut self) {
        let now = clock::now();
        let ready = self.questions.take_ready(now);
        if ready.is_empty() {
            return;
        }
        for event in self.sockets.statistics() {
            self.tell(event);
        }
        for (request, reply) in ready {
            // The asker may have gone; that is its affair.
            let _ = reply.send(self.router.answer(now, &request));
        }
    }

    fn next_wake(&self) -> Duration {
        let restart = self.restarts.iter().map(|(at, _)| *at).min();
        let due = [self.router.next_timeout(), self.questions.deadline(), restart];
        let now = clock::now();
        due.into_iter()
            .flatten()
            .min()
            .map_or(AGE, |at| at.since(now).max(Duration::from_millis(1)))
    }

    fn timeouts(&mut self) {
        let now = clock::now();
        if self.router.next_timeout().is_some_and(|at| at <= now) {
            self.tell(Event::Timeout);
        }
        let (due, later) = self.restarts.iter().partition(|(at, _)| *at <= now);
        self.restarts = later;
        let due: Vec<(Time, u32)> = due;
        for (_, worker) in due {
            match self.pool.restart(worker) {
                Ok(()) => self.sockets.worker_started(worker),
                Err(error) => {
                    error!(worker, %error, "cannot start the worker again");
                    self.restarts.push((now.plus(RESTART_MAX), worker));
                }
            }
        }
        self.answer_ready();
    }

    /// SIGHUP: the file's rules become these, all at once, or nothing changes.
    fn reload(&mut self) {
        let Some(path) = self.config.clone() else {
            warn!("SIGHUP without a configuration file: nothing to load");
            return;
        };
        let loaded = match config::load_file(&path) {
            Ok(loaded) => loaded,
            Err(diagnostics) => {
                for error in diagnostics.to_string().lines() {
                    error!(error, "configuration is wrong");
                }
                error!(file = %path.display(), mistakes = diagnostics.list.len(), "configuration not loaded, the last good one stays");
                return;
            }
        };
        if (loaded.dataplane, loaded.control, loaded.log) != self.settings {
            warn!("dataplane, control and log settings take effect at the next start");
        }
        let rules = loaded.rules.len();
        let event = Event::Rules { origin: Origin::File, set: loaded.rules };
        match self.router.handle(clock::now(), event) {
            Ok(()) => info!(file = %path.display(), rules, "configuration loaded"),
            Err(refusal) => {
                let error = Refusal::to_string(&refusal);
                error!(file = %path.display(), error, "configuration not loaded, the last good one stays");
            }
        }
    }
}

/// True where the answer shows what workers have counted, or means that they work by a new table:
/// then all of them report first.
fn waits_for_workers(request: &Request) -> bool {
    match request {
        Request::AddRule(_) | Request::Rules | Request::Stats | Request::Workers => true,
        Request::Ping | Request::RemoveRule(_) | Request::Interfaces | Request::Mroute => false,
    }
}
