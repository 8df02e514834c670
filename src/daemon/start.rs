//! Everything that is built once.

use super::dispatch::Sockets;
use super::questions::Questions;
use super::service::{Invitation, Service};
use super::state_file::StateFile;
use super::{Daemon, Options, QUESTIONS, limits, reload};
use crate::api;
use crate::clock;
use crate::config::{self, Loaded};
use crate::control::event::{Event, Refusal};
use crate::control::layout::Layout;
use crate::control::router::Router;
use crate::dataplane::link::{IoChoice, Sched, Settings};
use crate::dataplane::pool::Pool;
use crate::netlink::Monitor;
use crate::sources::file_watch::FileWatch;
use crate::telemetry::Logging;
use crate::types::{Origin, Rule};
use anyhow::Context;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

impl Daemon {
    /// Builds everything; what has happened since is taken up by [`Daemon::serve`].
    pub(super) fn start(
        options: &Options,
        loaded: Loaded,
        logging: Logging,
        watch: Option<FileWatch>,
        invitation: &Invitation,
    ) -> anyhow::Result<Self> {
        let settings = reload::Settings::of(&loaded);
        // Signals first: one that comes while we start must not kill us half-way.
        let hangup = signal(SignalKind::hangup())?;
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let monitor = Monitor::start().context("cannot watch the network by rtnetlink")?;
        let (report, reports) = mpsc::unbounded_channel();
        let layout = layout(&loaded.dataplane);
        let worker_settings = worker_settings(&loaded.dataplane, &layout);
        let workers = u32::try_from(worker_settings.workers.len()).unwrap_or(u32::MAX);
        let pool = Pool::start(worker_settings, report).context("cannot start a worker thread")?;
        let now = clock::now();
        let mut router = Router::new(now, layout, std::process::id());
        let set = loaded.rules;
        info!(rules = set.len(), workers, "starting");
        router.handle(now, Event::Rules { origin: Origin::File, set })?;
        let state_file = options.state_dir.as_deref().map(|dir| {
            let (file, rules) = StateFile::open(dir, now);
            take_over(&mut router, rules);
            file
        });

        let (ask, asked) = mpsc::channel(QUESTIONS);
        let path = options.socket.clone().or(loaded.control.socket);
        let path = path.unwrap_or_else(|| PathBuf::from(api::DEFAULT_SOCKET));
        let listener = api::bind(&path, loaded.control.group.as_deref())?;
        let (stop_api, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            // Sent or dropped: both mean stop.
            let _ = stopped.await;
        };
        let publisher = api::Publisher::default();
        let (events, limits) = (publisher.subscriptions(), api::Limits::default());
        let api = tokio::spawn(api::serve(listener, ask, events, limits, shutdown));
        info!(socket = %path.display(), "control socket is open");
        Ok(Self {
            router,
            monitor,
            pool,
            reports,
            asked,
            sockets: Sockets::new(workers, loaded.dataplane.receive_buffer_bytes),
            questions: Questions::default(),
            config: options.config.clone(),
            changes: watch.map(FileWatch::spawn),
            settings,
            logging,
            state_file,
            publisher,
            service: Service::new(invitation),
            network_known: false,
            restarts: Vec::new(),
            stop_api,
            api,
            hangup,
            terminate,
            interrupt,
        })
    }
}

fn layout(dataplane: &config::Dataplane) -> Layout {
    Layout::new(dataplane.workers, dataplane.shards, dataplane.pinning.clone())
}

fn worker_settings(dataplane: &config::Dataplane, layout: &Layout) -> Settings {
    let io = match dataplane.io {
        config::Io::Auto => IoChoice::Auto,
        config::Io::IoUring => IoChoice::IoUring,
        config::Io::Syscalls => IoChoice::Syscalls,
    };
    let sched = match dataplane.sched {
        config::Sched::Normal => Sched::Normal,
        config::Sched::Fifo => Sched::Fifo,
    };
    // As many as a reload may make them: a share that is given cannot be taken back.
    let egress_sockets = limits::egress_sockets(limits::raise_descriptors(), layout.most_workers());
    Settings {
        io,
        egress_sockets,
        buffers: dataplane.buffers,
        sched,
        coalesce_usecs: dataplane.coalesce_usecs,
        busy_poll_usecs: dataplane.busy_poll_usecs,
        workers: layout.plans(),
    }
}

/// Hands the core the rules of an earlier run; those that the file has by now are left out.
fn take_over(router: &mut Router, mut rules: Vec<Rule>) {
    if let Err(Refusal::Conflicts(conflicts)) = router.check_set(Origin::Runtime, &rules) {
        for conflict in conflicts.iter().rev() {
            let rule = rules.remove(conflict.index).display_name();
            warn!(rule, error = conflict.text, "run-time rule left out");
        }
    }
    if let Err(refusal) =
        router.handle(clock::now(), Event::Rules { origin: Origin::Runtime, set: rules })
    {
        error!(error = %refusal, "run-time rules are not taken over");
    }
}
