//! The ports of the data plane: opened, moved between workers, given back, closed.

use super::{Crew, Engine, FromPlane, MAX_PORTS, PortId, PortSpec, ToWorker};
use crate::dataplane::kernel_counters;
use crate::dataplane::link::Port;
use crate::types::DropReason;
use std::os::fd::{AsFd, OwnedFd};

/// Where a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// With its worker, or waiting for it to run.
    Read,
    /// On its way to this worker.
    Moving(u32),
    /// On its way out: the socket is closed.
    Closing,
    /// On its way out: somebody else has the socket.
    Releasing,
}

/// A port and the duplicate of its socket that it is opened again from.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) spec: PortSpec,
    pub(super) socket: OwnedFd,
    worker: u32,
    stage: Stage,
}

impl Held {
    /// The worker that reads it, or will.
    pub(super) fn worker(&self) -> u32 {
        match self.stage {
            Stage::Moving(to) => to,
            _ => self.worker,
        }
    }

    /// The worker that has it now.
    pub(super) fn with(&self) -> u32 {
        self.worker
    }

    /// False for one that is on its way out.
    pub(super) fn stays(&self) -> bool {
        matches!(self.stage, Stage::Read | Stage::Moving(_))
    }

    /// True where its worker has been asked for it.
    pub(super) fn leaves(&self) -> bool {
        self.stage != Stage::Read
    }
}

impl<C: Crew> Engine<C> {
    pub(super) fn open(&mut self, worker: u32, spec: PortSpec, socket: OwnedFd) {
        let failure = if self.posts.get(worker as usize).is_none() {
            Some("there is no such worker")
        } else if self.ports.contains_key(&spec.id) {
            // The one that is there must not be harmed: nothing is said of this number.
            return self.refuse("a port's number was given twice");
        } else if self.ports.len() >= MAX_PORTS {
            Some("too many ports")
        } else {
            None
        };
        if let Some(failure) = failure {
            let (port, counters) = (spec.id, Box::new(spec.counters));
            let failure = Some(failure.to_owned());
            self.say(FromPlane::Closed { port, counters, failure });
            return;
        }
        let id = spec.id;
        self.ports.insert(id, Held { spec, socket, worker, stage: Stage::Read });
        self.hand_out(id);
    }

    /// Gives a port to its worker, where that runs; otherwise it waits here.
    pub(super) fn hand_out(&mut self, id: PortId) {
        let Some(held) = self.ports.get(&id) else { return };
        if !self.posts.get(held.worker as usize).is_some_and(|post| post.is_up()) {
            return;
        }
        let PortSpec { id, iif, ingress, ref counters, .. } = held.spec;
        match held.socket.try_clone() {
            Ok(socket) => {
                let counters = counters.clone();
                let open = ToWorker::Open(Port { id, iif, ingress, socket, counters });
                // One that has died says so, and then gets it again.
                self.crew.send(held.worker, open);
            }
            Err(error) => self.end(id, Some(error.to_string())),
        }
    }

    /// Closes the port here and tells control.
    fn end(&mut self, id: PortId, failure: Option<String>) {
        let Some(Held { spec, socket, stage, .. }) = self.ports.remove(&id) else { return };
        let mut counters = Box::new(spec.counters);
        if stage == Stage::Releasing {
            self.say(FromPlane::Released { port: id, counters });
            return;
        }
        kernel_counters::finish(socket.as_fd(), spec.ingress, &mut counters);
        self.say(FromPlane::Closed { port: id, counters, failure });
    }

    pub(super) fn close(&mut self, id: PortId) {
        self.leave(id, Stage::Closing, ToWorker::Close(id));
    }

    pub(super) fn release(&mut self, id: PortId) {
        self.leave(id, Stage::Releasing, ToWorker::Release(id));
    }

    fn leave(&mut self, id: PortId, stage: Stage, message: ToWorker) {
        let Some(held) = self.ports.get_mut(&id) else { return };
        let before = std::mem::replace(&mut held.stage, stage);
        let worker = held.worker;
        if before != Stage::Read {
            // Its worker was asked for it already; what becomes of it is seen when it comes.
            return;
        }
        if !self.posts.get(worker as usize).is_some_and(|post| post.is_up()) {
            self.end(id, None);
            return;
        }
        self.crew.send(worker, message);
    }

    pub(super) fn move_to(&mut self, id: PortId, to: u32) {
        if self.posts.get(to as usize).is_none() {
            return self.refuse("a port was to be moved to a worker that there is not");
        }
        let Some(held) = self.ports.get_mut(&id) else { return };
        match held.stage {
            Stage::Closing | Stage::Releasing => return,
            Stage::Moving(_) => {
                held.stage = Stage::Moving(to);
                return;
            }
            Stage::Read if held.worker == to => return,
            Stage::Read => held.stage = Stage::Moving(to),
        }
        let worker = held.worker;
        if self.posts.get(worker as usize).is_some_and(|post| post.is_up()) {
            self.crew.send(worker, ToWorker::Release(id));
        } else {
            self.arrive(id);
        }
    }

    /// A port that was to be moved is with nobody now.
    fn arrive(&mut self, id: PortId) {
        if let Some(held) = self.ports.get_mut(&id)
            && let Stage::Moving(to) = held.stage
        {
            held.worker = to;
            held.stage = Stage::Read;
            self.hand_out(id);
        }
    }

    /// A worker has given a port back.
    pub(super) fn released(&mut self, port: Port) {
        let Some(held) = self.ports.get_mut(&port.id) else { return };
        held.spec.counters = port.counters;
        match held.stage {
            Stage::Moving(_) => self.arrive(port.id),
            Stage::Closing | Stage::Releasing => self.end(port.id, None),
            // Nobody asked for it: it goes back.
            Stage::Read => self.hand_out(port.id),
        }
    }

    /// A worker has died with its ports. Fragments that it held are gone.
    pub(super) fn bereaved(&mut self, worker: u32) {
        let of_it = self.ports.iter_mut().filter(|(_, held)| held.worker == worker);
        let mut ids = Vec::new();
        for (id, held) in of_it {
            let counters = &mut held.spec.counters;
            let lost = std::mem::take(&mut counters.held);
            counters.drops.add(DropReason::PortClosed, lost);
            ids.push((*id, held.stage));
        }
        for (id, stage) in ids {
            match stage {
                Stage::Read => {}
                Stage::Moving(_) => self.arrive(id),
                Stage::Closing | Stage::Releasing => self.end(id, None),
            }
        }
    }
}
