//! L5, the running relay: builds everything, owns the one event loop, dispatches.

mod announce;
pub mod arguments;
mod dispatch;
mod limits;
mod questions;
mod reload;
mod requests;
mod service;
mod start;
mod state_file;

use crate::api;
use crate::clock;
use crate::config::{self, Diagnostics, Loaded};
use crate::control::event::Event;
use crate::control::notice::Notice;
use crate::control::router::{Output, Router};
use crate::dataplane::link::{FromWorker, ToWorker};
use crate::dataplane::pool::Pool;
use crate::netlink::Monitor;
use crate::sources::file_watch::{Changes, FileWatch};
use crate::telemetry::{self, Filter, Logging, SetBy};
use crate::types::{NetEvent, Origin, Time, WorkerPlan};
use anyhow::Context;
use dispatch::Sockets;
use futures::FutureExt;
use questions::Questions;
use service::{Invitation, Service};
use state_file::StateFile;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

/// Questions waiting for the loop; beyond that, askers wait.
const QUESTIONS: usize = 256;
/// Network events that one turn of the loop takes before it compiles.
const EVENTS_A_TURN: usize = 256;
/// How often idle egress sockets are looked for.
const AGE: Duration = Duration::from_secs(60);
/// A worker that died is started again after this, and later each time, up to [`RESTART_MAX`].
const RESTART_MIN: Duration = Duration::from_millis(50);
const RESTART_MAX: Duration = Duration::from_secs(5);

/// How often the core is asked to settle in one turn: what a first round asks for may fail at once.
const ROUNDS: usize = 16;

/// What `mcrd run` was told on its command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file; none = no rules but those added at run time.
    pub config: Option<PathBuf>,
    /// Loads the file again when it changes on disk, not only at SIGHUP.
    pub watch: bool,
    /// Where rules added at run time are kept over restarts; none = they are not kept.
    pub state_dir: Option<PathBuf>,
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
    // Before the file is read: what changes from now on is seen.
    let watch = options.config.as_deref().filter(|_| options.watch).map(FileWatch::start);
    let loaded = match &options.config {
        Some(path) => config::load_file(path)?,
        None => config::load_text("built-in defaults", "{}")?,
    };
    let logging = start_logging(options, &loaded).map_err(anyhow::Error::msg)?;
    let watch = watch.and_then(|watch| {
        watch
            .inspect_err(|error| {
                warn!(%error, "the configuration file is not watched; SIGHUP loads it again");
            })
            .ok()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let invitation = Invitation::of_environment();
    runtime.block_on(async {
        let daemon = Daemon::start(options, loaded, logging, watch, &invitation)?;
        daemon.serve(std::future::pending()).await
    })?;
    Ok(())
}

fn start_logging(options: &Options, loaded: &Loaded) -> Result<Logging, String> {
    let (level, set_by) = match &options.log_level {
        Some(level) => (level.as_str(), SetBy::CommandLine),
        None => (loaded.log.level.name(), SetBy::File),
    };
    let format = match loaded.log.format {
        config::LogFormat::Json => telemetry::Format::Json,
        config::LogFormat::Auto | config::LogFormat::Text => telemetry::Format::Text,
    };
    Logging::start(level.parse::<Filter>()?, set_by, format)
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
    changes: Option<Changes>,
    settings: reload::Settings,
    logging: Logging,
    state_file: Option<StateFile>,
    publisher: api::Publisher,
    service: Service,
    /// The network has been seen as a whole.
    network_known: bool,
    restarts: Vec<(Time, u32)>,
    stop_api: oneshot::Sender<()>,
    api: tokio::task::JoinHandle<std::io::Result<()>>,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Daemon {
    /// The event loop. Each turn takes what has happened, lets the core draw the consequences once,
    /// and does what it asks for. Ends with `stop`, SIGTERM or SIGINT.
    async fn serve(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut stop = std::pin::pin!(stop);
        let mut age = tokio::time::interval(AGE);
        // What is taken over from the file is no change of it.
        let state_file = self.state_file.take();
        self.settle();
        self.state_file = state_file;
        loop {
            self.settle();
            self.tell_service();
            let wait = self.next_wake();
            tokio::select! {
                event = self.monitor.next() => self.network(event),
                Some((worker, message)) = self.reports.recv() => self.worker_said(worker, message),
                Some((request, reply)) = self.asked.recv() => self.ask(request, reply),
                _ = self.hangup.recv() => self.reload(),
                () = next_change(&mut self.changes) => self.reload(),
                outcome = written(&mut self.state_file) => self.state_written(outcome),
                () = self.service.watchdog_due() => self.service.alive(),
                _ = age.tick() => self.sockets.to_all(&self.pool, || ToWorker::Age),
                () = tokio::time::sleep(wait) => self.timeouts(),
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                () = &mut stop => break,
            }
        }
        self.service.stopping();
        self.announce(vec![Notice::Stopping]);
        // The file goes with the listener; a client that is being served gets its answer cut.
        let _ = self.stop_api.send(());
        self.asked.close();
        if let Ok(Err(error)) = self.api.await {
            warn!(%error, "control socket failed while stopping");
        }
        self.pool.stop();
        if let Some(file) = self.state_file {
            file.finish(self.router.rules_of(Some(Origin::Runtime))).await;
        }
        Ok(())
    }

    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            self.router.settle(clock::now());
            let (mut done, mut notices) = (false, Vec::new());
            while let Some(output) = self.router.poll_output() {
                done = true;
                match output {
                    Output::Notice(notice) => notices.push(notice),
                    Output::Workers(plans) => self.grow(&plans),
                    output => {
                        for event in self.sockets.dispatch(&self.pool, output) {
                            self.tell(event);
                        }
                    }
                }
            }
            self.announce(notices);
            if !done {
                break;
            }
        }
    }

    /// Starts workers that there are not yet. One that is too many stays, without a port.
    fn grow(&mut self, plans: &[WorkerPlan]) {
        match self.pool.grow(plans) {
            Ok(started) => {
                for worker in started {
                    self.sockets.worker_started(worker);
                }
            }
            Err(error) => error!(%error, "cannot start another worker"),
        }
    }

    /// Logs and spreads what has changed.
    fn announce(&mut self, notices: Vec<Notice>) {
        announce::log(&notices);
        let wall = clock::wall();
        for notice in notices {
            if notice.changed_rules_of() == Some(Origin::Runtime)
                && let Some(file) = &mut self.state_file
            {
                file.changed(clock::now());
            }
            self.publisher.publish(wall, notice);
        }
    }

    fn tell_service(&mut self) {
        if self.network_known {
            self.service.ready();
        }
        let (running, workers) = (self.sockets.running().len(), self.router.workers());
        let rules = self.router.rule_count();
        self.service.status(format!("rules: {rules}, workers running: {running} of {workers}"));
    }

    fn state_written(&mut self, outcome: std::io::Result<()>) {
        let notice = self.state_file.as_mut().and_then(|file| file.ended(clock::now(), outcome));
        self.announce(notice.into_iter().collect());
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
            self.network_known = true;
        }
    }

    fn worker_said(&mut self, worker: u32, message: FromWorker) {
        match message {
            FromWorker::Ready { tier, reason, notes } => {
                let tier = tier.name().to_owned();
                self.tell(Event::WorkerReady { worker, tier, reason, notes });
            }
            FromWorker::Programmed(generation) => {
                self.tell(Event::Programmed { worker, generation });
            }
            FromWorker::Closed { port, counters, failure } => {
                self.sockets.closed(port.0);
                let failure = failure.or(self.sockets.failure(port.0));
                self.tell(Event::PortClosed { port: port.0, counters: *counters, failure });
            }
            FromWorker::Released(port) => {
                let event = self.sockets.released(&self.pool, *port);
                event.into_iter().for_each(|event| self.tell(event));
            }
            FromWorker::Report(report) => {
                let request = report.request;
                self.tell(dispatch::report_event(worker, *report));
                self.questions.reported(worker, request);
                self.answer_ready();
            }
            FromWorker::Died(reason) => {
                let lost = self.sockets.worker_died(worker);
                lost.into_iter().for_each(|event| self.tell(event));
                self.questions.worker_died(worker);
                self.tell(Event::WorkerDied { worker, reason });
                let earlier = self.router.deaths(worker).saturating_sub(1);
                let delay = RESTART_MIN.saturating_mul(1 << earlier.min(10)).min(RESTART_MAX);
                self.restarts.push((clock::now().plus(delay), worker));
                self.answer_ready();
            }
        }
    }

    fn next_wake(&self) -> Duration {
        let restart = self.restarts.iter().map(|(at, _)| *at).min();
        let file = self.state_file.as_ref().and_then(StateFile::due);
        let due = [self.router.next_timeout(), self.questions.deadline(), restart, file];
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
        if let Some(file) = &mut self.state_file
            && file.due().is_some_and(|at| at <= now)
        {
            file.begin(now, self.router.rules_of(Some(Origin::Runtime)));
        }
        self.answer_ready();
    }
}

async fn next_change(changes: &mut Option<Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

async fn written(file: &mut Option<StateFile>) -> std::io::Result<()> {
    match file {
        Some(file) => file.written().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
