//! The workers as the core sees them: which run, what they have said and counted.

use super::Router;
use crate::control::event::WorkerReport;
use crate::fib::counters::{SlotCounters, WorkerCounters};

/// What is known of a worker.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Worker {
    pub(in crate::control) tier: String,
    pub(in crate::control) reason: Option<String>,
    /// What else was asked for and could not be had.
    pub(in crate::control) notes: Vec<String>,
    pub(in crate::control) running: bool,
    pub(in crate::control) generation: u64,
    pub(in crate::control) counters: WorkerCounters,
    pub(in crate::control) slots: SlotCounters,
    pub(in crate::control) restarts: u64,
    /// Why it died last.
    pub(in crate::control) last_death: String,
}

impl Router {
    /// How often a worker has died.
    pub fn deaths(&self, worker: u32) -> u64 {
        self.workers.get(worker as usize).map_or(0, |worker| worker.restarts)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Another number of workers that are bound to no core.
    pub(super) fn set_workers(&mut self, workers: u32) {
        if !self.layout.set_workers(workers) {
            return;
        }
        let plans = self.layout.plans();
        if self.workers.len() < plans.len() {
            self.workers.resize(plans.len(), Worker::default());
        }
        self.uneven = true;
        self.resized = true;
        self.due = true;
    }

    /// A worker that was too many has ended, and its last report has come.
    pub(super) fn worker_stopped(&mut self, number: u32) {
        if let Some(worker) = self.workers.get_mut(number as usize) {
            self.lost_slots.merge(&std::mem::take(&mut worker.slots));
            *worker = Worker::default();
        }
        let wanted = self.layout.free().end as usize;
        while self.workers.len() > wanted && self.workers.last().is_some_and(|last| !last.running) {
            self.workers.pop();
        }
        self.due = true;
    }

    pub(super) fn ready(
        &mut self,
        number: u32,
        tier: String,
        reason: Option<String>,
        notes: Vec<String>,
    ) {
        // The first time: what others have is shared with it.
        self.uneven |=
            self.workers.get(number as usize).is_some_and(|worker| worker.tier.is_empty());
        if let Some(worker) = self.workers.get_mut(number as usize) {
            worker.tier = tier;
            worker.reason = reason;
            worker.notes = notes;
            worker.running = true;
            // Ports may wait for it.
            self.dirty = true;
        }
    }

    pub(super) fn worker_died(&mut self, number: u32, reason: String) {
        if let Some(worker) = self.workers.get_mut(number as usize) {
            self.lost_slots.merge(&std::mem::take(&mut worker.slots));
            worker.running = false;
            worker.last_death.clone_from(&reason);
            worker.reason = Some(reason);
            worker.generation = 0;
            worker.restarts += 1;
        }
    }

    /// There are so many workers, and there shall be those of the layout.
    pub(in crate::control) fn resize_from(&mut self, workers: usize) {
        let most = workers.max(self.layout.plans().len());
        self.workers.resize(most, Worker::default());
        self.uneven = true;
        self.resized = true;
        self.due = true;
    }

    pub(super) fn data_plane_died(&mut self, reason: &str) {
        self.workers_gone(Some(reason));
        self.ports.all_gone();
    }

    /// What they have counted stays.
    pub(super) fn workers_gone(&mut self, reason: Option<&str>) {
        for worker in &mut self.workers {
            self.lost_slots.merge(&std::mem::take(&mut worker.slots));
            worker.running = false;
            worker.reason = reason.map(str::to_owned);
            worker.generation = 0;
        }
    }

    pub(super) fn report(&mut self, report: WorkerReport) {
        for (port, counters) in report.ports {
            self.ports.report(port, counters);
        }
        if let Some(worker) = self.workers.get_mut(report.worker as usize) {
            // An older report would bring back what slots counted for their owners before.
            if report.generation >= self.last_reset {
                worker.slots = report.slots;
            }
            worker.counters = report.counters;
        }
    }

    pub(super) fn runs(&self, worker: u32) -> bool {
        self.workers.get(worker as usize).is_some_and(|worker| worker.running)
    }
}
