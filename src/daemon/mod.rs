//! L5, the running relay: builds everything, owns the one event loop, dispatches.

mod announce;
pub mod arguments;
mod dispatch;
mod handover;
mod limits;
mod links;
mod memory;
mod plane;
mod planes;
mod questions;
mod reload;
mod requests;
mod service;
mod start;
mod state_file;
mod upgrade;

use crate::api;
use crate::clock;
use crate::config::{self, Diagnostics, Loaded};
use crate::control::event::Event;
use crate::control::notice::Notice;
use crate::control::router::{Output, Router};
use crate::dataplane::process::message::ToPlane;
use crate::netlink::Monitor;
use crate::sources::file_watch::{Changes, FileWatch};
use crate::sys::heap;
use crate::telemetry::{self, Filter, Logging, SetBy};
use crate::types::{NetEvent, Origin, Rule, Time, WorkerPlan};
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
/// The loop goes round at least so often.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// After a change or a large answer, when nothing has happened for so long, what they took is given back.
const REST: Duration = Duration::from_millis(250);

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
    heap::keep_little();
    // Before the file is read: what changes from now on is seen.
    let watch = options.config.as_deref().filter(|_| options.watch).map(FileWatch::start);
    let loaded = match &options.config {
        Some(path) => reload::load_apart(path)?,
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
    let next = runtime.block_on(async {
        let daemon = Daemon::start(options, loaded, logging, watch, &invitation, None)?;
        daemon.serve(std::future::pending()).await
    })?;
    drop(runtime);
    let Some(program) = next else { return Ok(()) };
    let error = anyhow::Error::from(upgrade::become_program(&program));
    Err(error.context("cannot start the new program, nor this one again").into())
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
    planes: planes::Planes,
    asked: mpsc::Receiver<api::Exchange>,
    sockets: Sockets,
    links: links::Links,
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
    /// The data plane was there before.
    attached: bool,
    /// Rules that were found and are not asked for any more stay until then; afterwards the file's
    /// rules are these.
    hold: Option<(Time, Vec<Rule>)>,
    /// Memory was freed: then it is given back.
    rest_at: Option<Time>,
    /// A program that is to take our place.
    trial: Option<upgrade::Trial>,
    stop_api: oneshot::Sender<()>,
    api: tokio::task::JoinHandle<std::io::Result<()>>,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Daemon {
    /// The event loop. Each turn takes what has happened, lets the core draw the consequences once,
    /// and does what it asks for. Ends with `stop`, SIGTERM or SIGINT, or where another program is to go on: that one.
    async fn serve(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<Option<PathBuf>> {
        let mut stop = std::pin::pin!(stop);
        // What is taken over from the file is no change of it.
        let state_file = self.state_file.take();
        self.settle();
        self.state_file = state_file;
        let next = loop {
            self.settle();
            self.tell_service();
            let wait = self.next_wake();
            tokio::select! {
                event = self.monitor.next() => self.network(event),
                events = self.links.heard() => events.into_iter().for_each(|event| self.tell(event)),
                heard = planes::hear(&mut self.sockets.plane) => self.plane_said(heard),
                Some((request, reply)) = self.asked.recv(), if self.may_answer() => {
                    self.ask(request, reply);
                }
                _ = self.hangup.recv() => self.reload(),
                () = next_change(&mut self.changes) => self.reload(),
                outcome = written(&mut self.state_file) => self.state_written(outcome),
                () = self.service.watchdog_due() => self.service.alive(),
                () = tokio::time::sleep(wait) => self.timeouts(),
                outcome = upgrade::tried(&mut self.trial) => {
                    if let Some(program) = self.upgrade_tried(outcome) {
                        break Some(program);
                    }
                }
                _ = self.terminate.recv() => break None,
                _ = self.interrupt.recv() => break None,
                () = &mut stop => break None,
            }
        };
        if next.is_none() {
            self.service.stopping();
        }
        self.announce(vec![Notice::Stopping]);
        // The file goes with the listener; a client that is being served gets its answer cut.
        let _ = self.stop_api.send(());
        self.asked.close();
        if let Ok(Err(error)) = self.api.await {
            warn!(%error, "control socket failed while stopping");
        }
        // Another control takes over from this one: its data plane goes on.
        if let Some(plane) = self.sockets.plane.take().filter(|_| next.is_none()) {
            plane.stop();
        }
        if let Some(file) = self.state_file {
            file.finish(self.router.rules_of(Some(Origin::Runtime))).await;
        }
        Ok(next)
    }

    fn settle(&mut self) {
        for round in 0..ROUNDS {
            self.router.settle(clock::now());
            let (mut done, mut notices) = (false, Vec::new());
            let mut notes = self.changed_notes();
            while let Some(output) = self.router.poll_output() {
                done = true;
                match output {
                    Output::Notice(notice) => notices.push(notice),
                    Output::Workers(plans) => self.workers(plans),
                    Output::Transmit(transmit) => self.links.send(&transmit),
                    Output::HardwareGroups(groups) => self.links.let_in(&groups),
                    Output::LinkListeners(wanted) => {
                        let event = self.links.listen(&wanted);
                        self.tell(event);
                    }
                    output => {
                        if let Output::InterfaceGone(index) = output {
                            self.links.interface_gone(index);
                        }
                        for event in self.sockets.dispatch(output, &mut notes) {
                            self.tell(event);
                        }
                    }
                }
            }
            if !notes.is_empty() {
                self.sockets.send(&ToPlane::Remember(notes), None);
            }
            self.announce(notices);
            if !done {
                if round > 0 {
                    self.rest_soon();
                }
                break;
            }
        }
    }

    /// Much may be freed now, or soon by the threads that write answers.
    fn rest_soon(&mut self) {
        self.rest_at = Some(clock::now().plus(REST));
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

    /// Not before the core knows the network, where it takes over from another: it would answer that
    /// nothing works.
    fn may_answer(&self) -> bool {
        self.network_known || !self.attached
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
            for index in &self.sockets.unbound() | &self.links.unbound() {
                self.tell(Event::InterfaceReplaced(index));
            }
            self.network_known = true;
        }
    }

    /// Other workers than there were; a data plane that is started later has them from the start.
    fn workers(&mut self, plans: Vec<WorkerPlan>) {
        self.planes.settings.workers.clone_from(&plans);
        self.sockets.send(&ToPlane::Workers(plans), None);
    }

    fn next_wake(&self) -> Duration {
        let hold = self.hold.as_ref().map(|(at, _)| *at);
        let file = self.state_file.as_ref().and_then(StateFile::due);
        let due = [
            self.router.next_timeout(),
            self.questions.deadline(),
            self.planes.due(),
            self.rest_at,
            hold,
            file,
        ];
        let now = clock::now();
        due.into_iter()
            .flatten()
            .min()
            .map_or(LONGEST_WAIT, |at| at.since(now).max(Duration::from_millis(1)))
    }

    fn timeouts(&mut self) {
        let now = clock::now();
        if self.router.next_timeout().is_some_and(|at| at <= now) {
            self.tell(Event::Timeout);
        }
        if self.planes.due().is_some_and(|at| at <= now) {
            self.start_plane();
        }
        if self.rest_at.take_if(|at| *at <= now).is_some() {
            heap::give_back();
        }
        if let Some((_, set)) = self.hold.take_if(|(at, _)| *at <= now) {
            self.tell(Event::Rules { origin: Origin::File, set });
            self.sockets.forget_old();
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
