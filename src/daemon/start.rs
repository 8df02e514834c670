//! Everything that is built once.

use super::dispatch::{self, Sockets};
use super::links::Links;
use super::plane::{Place, Plane};
use super::planes::Planes;
use super::questions::Questions;
use super::service::{Invitation, Service};
use super::state_file::StateFile;
use super::{Daemon, Options, QUESTIONS, limits, memory, reload, upgrade};
use crate::api;
use crate::clock;
use crate::config::{self, Loaded};
use crate::control::adopt::KeptPort;
use crate::control::event::{Event, Refusal};
use crate::control::layout::Layout;
use crate::control::router::Router;
use crate::dataplane::link::{IoChoice, Sched, Settings, Tier};
use crate::dataplane::process::message::{Inventory, PortSpec};
use crate::netlink::Monitor;
use crate::sockets::ports::Bridge;
use crate::sources::file_watch::FileWatch;
use crate::telemetry::Logging;
use crate::types::{Origin, Rule};
use anyhow::Context;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
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
        place: Option<Place>,
    ) -> anyhow::Result<Self> {
        let settings = reload::Settings::of(&loaded);
        // Signals first: one that comes while we start must not kill us half-way.
        let hangup = signal(SignalKind::hangup())?;
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        upgrade::hear_signals();
        let monitor = Monitor::start().context("cannot watch the network by rtnetlink")?;
        let (ask, asked) = mpsc::channel(QUESTIONS);
        let path = options.socket.clone().or(loaded.control.socket);
        let path = path.unwrap_or_else(|| PathBuf::from(api::DEFAULT_SOCKET));
        let listener = api::bind(&path, loaded.control.group.as_deref())?;
        let (stop_api, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            // Sent or dropped: both mean stop.
            let _ = stopped.await;
        };
        // Last of what may fail: nothing of it is left behind.
        let layout = layout(&loaded.dataplane);
        let wanted = worker_settings(&loaded.dataplane, &layout);
        let place = place.unwrap_or_else(|| Place::beside(&path));
        let (plane, found, attached) = match Plane::attach(&place, &wanted) {
            Some((plane, found)) => (plane, found, true),
            None => {
                let (plane, found) =
                    Plane::start(&place, &wanted).context("cannot start the data plane")?;
                (plane, found, false)
            }
        };
        let now = clock::now();
        let (inventory, ports) = (found.inventory, found.ports);
        for trouble in &inventory.trouble {
            warn!(error = trouble, "the data plane keeps more rights than it should");
        }
        let workers = u32::try_from(inventory.workers.len()).unwrap_or(1);
        let mut router = Router::new(now, layout, std::process::id());
        let receive_buffer = loaded.dataplane.receive_buffer_bytes;
        let kept = inventory.kept.clone();
        let rings = loaded.dataplane.rings as usize;
        let mut sockets = Sockets::new(plane, workers, kept, receive_buffer, rings);
        info!(rules = loaded.rules.len(), workers, "starting");
        let but_workers =
            |settings: &Settings| Settings { workers: Vec::new(), ..settings.clone() };
        if but_workers(&inventory.settings) != but_workers(&wanted) {
            let sections = "dataplane";
            warn!(sections, "the running data plane has other settings until it is started anew");
        }
        let lost = match attached {
            true => adopt(&mut router, &mut sockets, &inventory, ports),
            false => 0,
        };
        // Those of a data plane that was just started may run by now, and have said so to nobody.
        meet_workers(&mut router, &mut sockets, &inventory);
        let hold_time = loaded.dataplane.hold_time;
        let (set, hold) = with_held(&router, loaded.rules, hold_time);
        router.handle(now, Event::Igmp(loaded.igmp.clone()))?;
        router.handle(now, Event::Rules { origin: Origin::File, set })?;
        let state_file = options.state_dir.as_deref().map(|dir| {
            let (mut file, rules) = StateFile::open(dir, now);
            if attached && lost == 0 {
                // What the data plane remembers is newer.
                file.changed(now);
            } else {
                take_over(&mut router, rules);
            }
            file
        });
        let publisher = api::Publisher::default();
        let (events, limits) = (publisher.subscriptions(), api::Limits::default());
        let api = tokio::spawn(api::serve(listener, ask, events, limits, shutdown));
        info!(socket = %path.display(), "control socket is open");
        Ok(Self {
            router,
            monitor,
            planes: Planes::new(place, wanted, now),
            asked,
            sockets,
            links: Links::new().context("cannot listen to IGMP")?,
            questions: Questions::default(),
            config: options.config.clone(),
            changes: watch.map(FileWatch::spawn),
            settings,
            logging,
            state_file,
            publisher,
            service: Service::new(invitation),
            network_known: false,
            hold: hold.map(|set| (now.plus(hold_time), set)),
            attached,
            rest_at: None,
            trial: None,
            stop_api,
            api,
            hangup,
            terminate,
            interrupt,
        })
    }
}

/// Hands the core what a data plane that runs already does; what the core does not want of it is closed.
/// How many rules could not be read.
fn adopt(
    router: &mut Router,
    sockets: &mut Sockets,
    inventory: &Inventory,
    ports: Vec<(u32, PortSpec, OwnedFd)>,
) -> usize {
    let (rules, lost) = memory::rules(&inventory.notes);
    let mut kept = Vec::new();
    let mut bridge = Bridge::default();
    for (worker, spec, socket) in ports {
        let id = spec.id.0;
        match sockets.adopt(worker, spec, socket, &mut bridge) {
            Ok(key) => kept.push(KeptPort { id, worker, key }),
            Err(error) => {
                warn!(port = id, %error, "a port of the running data plane is opened anew");
                sockets.close(id);
            }
        }
    }
    info!(
        pid = inventory.pid,
        generation = inventory.generation,
        rules = rules.len(),
        ports = kept.len(),
        "attached to the running data plane"
    );
    router.adopt_sums(memory::sums(&inventory.notes));
    router.adopt_members(memory::members(&inventory.notes));
    for port in router.adopt((inventory.generation, inventory.workers.len()), rules, kept) {
        sockets.close(port);
    }
    lost
}

/// Tells the core which workers run already.
fn meet_workers(router: &mut Router, sockets: &mut Sockets, inventory: &Inventory) {
    for (worker, state) in (0u32..).zip(&inventory.workers) {
        let Some(ready) = dispatch::ready_event(worker, state) else {
            sockets.worker_died(worker);
            continue;
        };
        sockets.worker_started(worker, state.tier == Some(Tier::UringRings));
        if let Err(refusal) = router.handle(clock::now(), ready) {
            error!(error = %refusal, "event refused");
        }
    }
}

/// The file's rules with those that an earlier control had of the file and that it does not have any
/// more; and the file's own, for later, where there are such.
fn with_held(
    router: &Router,
    set: Vec<Rule>,
    hold_time: std::time::Duration,
) -> (Vec<Rule>, Option<Vec<Rule>>) {
    let ids: BTreeSet<_> = set.iter().map(|rule| rule.id.clone()).collect();
    let names: BTreeSet<_> = set.iter().filter_map(|rule| rule.name.clone()).collect();
    let mut held = router.rules_of(Some(Origin::File));
    held.retain(|rule| {
        let renamed = rule.name.as_ref().is_some_and(|name| names.contains(name));
        !ids.contains(&rule.id) && !renamed
    });
    if held.is_empty() {
        return (set, None);
    }
    info!(
        rules = held.len(),
        seconds = hold_time.as_secs_f64(),
        "rules that the file does not have stay for a while"
    );
    let both = set.iter().cloned().chain(held).collect();
    (both, Some(set))
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
    // What is known already is newer.
    let known = router.rules_of(Some(Origin::Runtime));
    rules.retain(|rule| known.iter().all(|other| other.id != rule.id));
    rules.splice(0..0, known);
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
