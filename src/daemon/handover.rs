//! The data plane replaced by another while it forwards: the new one gets the table, then port after port as
//! the old one lets go of it. What arrives in between waits in the port's socket.

use super::plane::Plane;
use super::{Daemon, clock, dispatch};
use crate::control::event::Event;
use crate::control::notice::Notice;
use crate::control::view::DataPlaneUpgrade;
use crate::dataplane::link::{PortId, Tier};
use crate::dataplane::process::message::{FromPlane, ToPlane};
use crate::fib::counters::PortCounters;
use crate::types::Time;
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::warn;

/// How long the new workers may take to work by the table.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the old workers may take to let go of their ports and to report.
const PARTING: Duration = Duration::from_secs(3);
/// The number of a report that nobody asked for.
const LAST_WORDS: u64 = 0;

impl Daemon {
    /// Has the data plane replaced by one of the program that runs here. Nothing else happens meanwhile. An
    /// error says why it was not done; the one that was there goes on.
    pub(super) fn replace_plane(&mut self) -> Result<DataPlaneUpgrade, String> {
        let begun = clock::now();
        self.settle();
        let Some(plane) = &self.sockets.plane else {
            return Err("no data plane runs; one is started".to_owned());
        };
        let from = plane.version().to_owned();
        if self.router.workers() != self.planes.settings.workers.len() {
            return Err("the number of workers is being changed; ask again".to_owned());
        }
        if self.sockets.holds_old() {
            return Err("memberships of an earlier control process are still held".to_owned());
        }
        let place = self.planes.place.of_successor();
        let (mut plane, found) = Plane::start(&place, &self.planes.settings)
            .map_err(|error| format!("cannot start another data plane: {error}"))?;
        for trouble in &found.inventory.trouble {
            warn!(error = trouble, "the data plane keeps more rights than it should");
        }
        let early = (0u32..).zip(&found.inventory.workers);
        let early: Vec<Event> =
            early.filter_map(|(worker, state)| dispatch::ready_event(worker, state)).collect();
        let said = match self.prepare(&mut plane) {
            Ok(said) => said,
            Err(error) => {
                plane.stop();
                return Err(error);
            }
        };
        let ports = self.hand_over_ports(&mut plane);
        self.hear_last_words();
        let (to, pid) = (plane.version().to_owned(), plane.pid());
        self.swap(plane, early, said);
        let pid = u32::try_from(pid).unwrap_or(0);
        self.announce(vec![Notice::DataPlaneReplaced { pid, ports }]);
        let milliseconds = u64::try_from(clock::now().since(begun).as_millis()).unwrap_or(u64::MAX);
        Ok(DataPlaneUpgrade { from, to, pid, ports, milliseconds })
    }

    /// Gives a new data plane all but the ports; what its workers have said when they work by the table.
    fn prepare(&mut self, plane: &mut Plane) -> Result<Vec<FromPlane>, String> {
        let (fib, notes) = (self.router.table(), self.all_notes());
        let generation = fib.generation();
        let (reset_rules, reset_outputs) = (Vec::new(), Vec::new());
        plane.send(&ToPlane::Publish { fib, reset_rules, reset_outputs, notes }, None);
        let mut missing: BTreeSet<u32> = (0..).take(self.router.workers()).collect();
        let mut said = Vec::new();
        let until = clock::now().plus(PATIENCE);
        while !missing.is_empty() {
            let heard = plane
                .hear_until(until)
                .map_err(|error| format!("the other data plane is not ready: {error}"))?;
            match &heard {
                FromPlane::Programmed { worker, generation: of } if *of == generation => {
                    missing.remove(worker);
                }
                FromPlane::Died { worker, reason } => {
                    return Err(format!("worker {worker} of the other data plane died: {reason}"));
                }
                FromPlane::Refused(what) => {
                    return Err(format!("the other data plane refuses: {what}"));
                }
                _ => {}
            }
            said.push(heard);
        }
        Ok(said)
    }

    /// Moves all open ports; how many were moved.
    fn hand_over_ports(&mut self, to: &mut Plane) -> usize {
        let (mut open, mut closing) = self.sockets.ports();
        let mut moved = 0;
        for port in &open {
            self.sockets.send(&ToPlane::Release(PortId(*port)), None);
        }
        let until = clock::now().plus(PARTING);
        while !(open.is_empty() && closing.is_empty()) {
            let Some(heard) = self.hear_old(until) else { break };
            match heard {
                FromPlane::Released { port, counters } if open.remove(&port.0) => {
                    moved += usize::from(self.open_at(to, port.0, *counters));
                }
                other => {
                    if let FromPlane::Closed { port, .. } = &other {
                        open.remove(&port.0);
                        closing.remove(&port.0);
                    }
                    self.plane_said(Ok(other));
                }
            }
        }
        if open.is_empty() && closing.is_empty() {
            return moved;
        }
        // The old one does not answer. Nobody else may read its ports any more: what it has of them is lost.
        let how = self.sockets.plane.take().map(Plane::bury).unwrap_or_default();
        warn!(ports = open.len(), how, "the old data plane did not hand over all its ports");
        for port in open {
            let counters = self.router.port_counters(port);
            moved += usize::from(self.open_at(to, port, counters));
        }
        for port in closing {
            self.port_lost(port, None);
        }
        moved
    }

    fn open_at(&mut self, plane: &mut Plane, port: u32, counters: PortCounters) -> bool {
        match self.sockets.open_again(port, counters) {
            Ok((message, socket)) => {
                plane.send(&message, Some(socket));
                true
            }
            Err(error) => {
                self.port_lost(port, Some(error.to_string()));
                false
            }
        }
    }

    fn port_lost(&mut self, port: u32, failure: Option<String>) {
        let counters = self.router.port_counters(port);
        self.sockets.closed(port);
        self.tell(Event::PortClosed { port, counters, failure });
    }

    /// Has the old workers report for the last time.
    fn hear_last_words(&mut self) {
        let mut missing = self.sockets.running();
        self.sockets.send(&ToPlane::Collect(LAST_WORDS), None);
        let until = clock::now().plus(PARTING);
        while !missing.is_empty() {
            let Some(heard) = self.hear_old(until) else { break };
            match &heard {
                FromPlane::Report { worker, report } if report.request == LAST_WORDS => {
                    missing.remove(worker);
                }
                FromPlane::Died { worker, .. } => {
                    missing.remove(worker);
                }
                _ => {}
            }
            self.plane_said(Ok(heard));
        }
    }

    fn hear_old(&mut self, until: Time) -> Option<FromPlane> {
        let heard = self.sockets.plane.as_mut()?.hear_until(until);
        heard.inspect_err(|error| warn!(error, "the old data plane is not heard")).ok()
    }

    /// The new data plane is the one from now on; the old one ends.
    fn swap(&mut self, mut plane: Plane, early: Vec<Event>, said: Vec<FromPlane>) {
        // Before its place is taken: control may be killed at any moment, and nobody finds it afterwards.
        self.sockets.send(&ToPlane::Stop, None);
        if let Err(error) = plane.take_place(&self.planes.place) {
            // It forwards; a control process after this one would not find it.
            warn!(%error, "the new data plane does not listen where the old one did");
        }
        for worker in self.sockets.running() {
            // Who waits for its report has had it.
            self.questions.worker_died(worker);
        }
        let old = self.sockets.plane_replaced(plane);
        self.planes.started = clock::now();
        self.tell(Event::DataPlaneReplaced);
        for ready in early {
            if let Event::WorkerReady { worker, tier, .. } = &ready {
                // It is this program's, whose io_uring workers all read rings.
                self.sockets.worker_started(*worker, tier == Tier::UringRings.name());
            }
            self.tell(ready);
        }
        for message in said {
            self.plane_said(Ok(message));
        }
        if let Some(old) = old {
            // The kernel takes its time to close many packet sockets; nobody waits for that.
            drop(tokio::task::spawn_blocking(move || old.retire()));
        }
        self.answer_ready();
    }
}
