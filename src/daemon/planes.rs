//! The data plane as the loop sees it: what it says, its end, the next one.

use super::plane::{Place, Plane};
use super::{Daemon, clock, dispatch};
use crate::control::event::Event;
use crate::control::notice::Notice;
use crate::dataplane::link::{Settings, Tier};
use crate::dataplane::process::message::{FromPlane, ToPlane};
use crate::types::Time;
use std::time::Duration;
use tracing::{error, warn};

/// After its second death in a row a data plane is started again after this, and later each time, up
/// to [`RESTART_MAX`]; after the first at once.
const RESTART_MIN: Duration = Duration::from_millis(50);
const RESTART_MAX: Duration = Duration::from_secs(5);
/// One that has run so long counts as healthy again.
const HEALTHY: Duration = Duration::from_secs(60);

/// How data planes are started, and when the next one is.
pub(super) struct Planes {
    pub(super) place: Place,
    pub(super) settings: Settings,
    pub(super) started: Time,
    /// Deaths in a row.
    deaths: u32,
    /// When it was missed, and when another is to be started.
    missed: Option<(Time, Time)>,
}

impl Planes {
    pub(super) fn new(place: Place, settings: Settings, now: Time) -> Self {
        Self { place, settings, started: now, deaths: 0, missed: None }
    }

    /// When a data plane is to be started.
    pub(super) fn due(&self) -> Option<Time> {
        self.missed.map(|(_, at)| at)
    }
}

/// Waits for what the data plane says; for ever where there is none.
pub(super) async fn hear(plane: &mut Option<Plane>) -> Result<FromPlane, String> {
    match plane {
        Some(plane) => plane.next().await,
        None => std::future::pending().await,
    }
}

impl Daemon {
    pub(super) fn plane_said(&mut self, heard: Result<FromPlane, String>) {
        match heard {
            Err(reason) => self.plane_died(&reason),
            Ok(FromPlane::Ready { worker, tier, reason, notes }) => {
                self.sockets.worker_started(worker, tier == Tier::UringRings);
                let tier = tier.name().to_owned();
                self.tell(Event::WorkerReady { worker, tier, reason, notes });
            }
            Ok(FromPlane::Programmed { worker, generation }) => {
                self.tell(Event::Programmed { worker, generation });
            }
            Ok(FromPlane::Closed { port, counters, failure }) => {
                self.sockets.closed(port.0);
                let failure = failure.or(self.sockets.failure(port.0));
                self.tell(Event::PortClosed { port: port.0, counters: *counters, failure });
            }
            Ok(FromPlane::Report { worker, report }) => {
                let request = report.request;
                self.tell(dispatch::report_event(worker, *report));
                self.questions.reported(worker, request);
                self.answer_ready();
            }
            Ok(FromPlane::Died { worker, reason }) => {
                self.worker_gone(worker);
                self.tell(Event::WorkerDied { worker, reason });
            }
            Ok(FromPlane::Stopped { worker }) => {
                self.worker_gone(worker);
                self.tell(Event::WorkerStopped { worker });
            }
            Ok(FromPlane::Refused(what)) => error!(error = what, "the data plane refuses"),
            // Answers to what was asked when it was met.
            Ok(
                FromPlane::OtherProtocol { .. }
                | FromPlane::Inventory(_)
                | FromPlane::Port { .. }
                | FromPlane::Released { .. },
            ) => {}
        }
    }

    fn worker_gone(&mut self, worker: u32) {
        self.sockets.worker_died(worker);
        self.questions.worker_died(worker);
        self.answer_ready();
    }

    fn plane_died(&mut self, reason: &str) {
        let now = clock::now();
        for worker in self.sockets.running() {
            self.questions.worker_died(worker);
        }
        let how = self.sockets.plane_died().map(Plane::bury).unwrap_or_default();
        let reason = format!("{reason}; {how}");
        self.announce(vec![Notice::DataPlaneDied { reason: reason.clone() }]);
        self.tell(Event::DataPlaneDied { reason });
        let planes = &mut self.planes;
        planes.deaths =
            if now.since(planes.started) >= HEALTHY { 1 } else { planes.deaths.saturating_add(1) };
        let delay = match planes.deaths {
            0 | 1 => Duration::ZERO,
            more => RESTART_MIN.saturating_mul(1 << (more - 2).min(10)).min(RESTART_MAX),
        };
        planes.missed = Some((now, now.plus(delay)));
        self.answer_ready();
        if delay.is_zero() {
            self.start_plane();
        }
    }

    pub(super) fn start_plane(&mut self) {
        let Some((missed, _)) = self.planes.missed else { return };
        let now = clock::now();
        match Plane::start(&self.planes.place, &self.planes.settings) {
            Ok((plane, found)) => {
                self.planes.missed = None;
                self.planes.started = clock::now();
                let pid = found.inventory.pid;
                let workers = u32::try_from(found.inventory.workers.len()).unwrap_or(0);
                self.sockets.plane_started(plane, workers);
                for (worker, state) in (0u32..).zip(&found.inventory.workers) {
                    if let Some(ready) = dispatch::ready_event(worker, state) {
                        let rings = state.tier == Some(Tier::UringRings);
                        self.sockets.worker_started(worker, rings);
                        self.tell(ready);
                    }
                }
                let notes = self.all_notes();
                self.sockets.send(&ToPlane::Remember(notes), None);
                self.router.publish_again();
                let after_ms = u64::try_from(self.planes.started.since(missed).as_millis());
                let after_ms = after_ms.unwrap_or(u64::MAX);
                self.announce(vec![Notice::DataPlaneRestarted { pid, after_ms }]);
            }
            Err(error) => {
                warn!(%error, "cannot start the data plane");
                self.planes.missed = Some((missed, now.plus(RESTART_MAX)));
            }
        }
    }
}
