//! The data plane without its socket: the workers and the ports they read, the table they work by,
//! and what control has left here. It starts a worker that has died again, with its ports and the
//! table, whether a control process is there or not.

mod notes;
mod ports;
mod supervision;

use super::link::{FromWorker, PortId, Settings, ToWorker};
use super::meter::Meters;
use super::pool::Crew;
use super::process::message::{FromPlane, Inventory, PortSpec, ToPlane, WorkerState};
use crate::fib::{Fib, OutputSlot, RuleSlot};
use crate::types::Time;
use notes::Notes;
use ports::Held;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use supervision::Post;

/// Ports at most.
const MAX_PORTS: usize = 65_536;
/// Descriptors kept for control at most.
const MAX_KEPT: usize = 16_384;
/// How often idle egress sockets are looked for.
const AGE: Duration = Duration::from_secs(60);
/// Workers at most.
const MAX_WORKERS: usize = 64;

/// A message to control, and the descriptor that goes with it.
pub type Answer = (FromPlane, Option<OwnedFd>);

/// See the module.
pub struct Engine<C> {
    crew: C,
    heard: Receiver<(u32, FromWorker)>,
    settings: Settings,
    posts: Vec<Post>,
    ports: BTreeMap<PortId, Held>,
    fib: Arc<Fib>,
    meters: Arc<Meters>,
    notes: Notes,
    kept: BTreeMap<u64, OwnedFd>,
    age_at: Time,
    /// What was to be done for safety and could not.
    trouble: Vec<String>,
    answers: Vec<Answer>,
}

impl<C: Crew> Engine<C> {
    /// Starts the workers that `settings` names. `heard` is where `crew` has them speak; `trouble` is
    /// what control shall know besides.
    pub fn start(
        crew: C,
        heard: Receiver<(u32, FromWorker)>,
        settings: Settings,
        trouble: Vec<String>,
        now: Time,
    ) -> Self {
        let plans = settings.workers.clone();
        let mut engine = Self {
            crew,
            heard,
            settings: Settings { workers: Vec::new(), ..settings },
            posts: Vec::new(),
            ports: BTreeMap::new(),
            fib: Arc::default(),
            meters: Arc::default(),
            notes: Notes::default(),
            kept: BTreeMap::new(),
            age_at: now.plus(AGE),
            trouble,
            answers: Vec::new(),
        };
        engine.workers(plans, now);
        engine
    }

    /// Does what control says. False where it says that all shall end.
    pub fn obey(&mut self, message: ToPlane, descriptor: Option<OwnedFd>, now: Time) -> bool {
        match (message, descriptor) {
            (ToPlane::Stop, _) => return false,
            (ToPlane::Open { worker, port }, Some(socket)) => self.open(worker, port, socket),
            (ToPlane::Keep { token }, Some(descriptor)) => self.keep(token, descriptor),
            (ToPlane::Open { .. } | ToPlane::Keep { .. }, None) => {
                self.refuse("a message came without its descriptor");
            }
            (ToPlane::Hello { .. } | ToPlane::Start(_), _) => self.refuse("a second greeting"),
            (ToPlane::Close(id), _) => self.close(id),
            (ToPlane::Move { port, worker }, _) => self.move_to(port, worker),
            (ToPlane::Release(id), _) => self.release(id),
            (ToPlane::Publish { fib, reset_rules, reset_outputs, notes }, _) => {
                match Arc::unwrap_or_clone(fib).check() {
                    Ok(fib) => {
                        self.meters = self.meters.follow(&fib);
                        self.fib = Arc::new(fib);
                        self.remember(notes);
                        for worker in self.posted() {
                            self.publish_to(worker, reset_rules.clone(), reset_outputs.clone());
                        }
                    }
                    Err(error) => self.refuse(&error.to_string()),
                }
            }
            (ToPlane::Remember(notes), _) => self.remember(notes),
            (ToPlane::Forget { token }, _) => drop(self.kept.remove(&token)),
            (ToPlane::Collect(number), _) => {
                for worker in self.posted() {
                    self.crew.send(worker, ToWorker::Collect(number));
                }
            }
            (ToPlane::Workers(plans), _) => self.workers(plans, now),
        }
        true
    }

    /// Lets a worker work by the table; the named slots have new owners.
    fn publish_to(&self, worker: u32, reset_rules: Vec<RuleSlot>, reset_outputs: Vec<OutputSlot>) {
        let (fib, meters) = (Arc::clone(&self.fib), Arc::clone(&self.meters));
        // One that has died gets it when it is started again.
        self.crew.send(worker, ToWorker::Publish { fib, meters, reset_rules, reset_outputs });
    }

    fn refuse(&mut self, what: &str) {
        self.say(FromPlane::Refused(what.to_owned()));
    }

    fn say(&mut self, message: FromPlane) {
        self.answers.push((message, None));
    }

    fn remember(&mut self, notes: Vec<super::process::message::Note>) {
        if let Err(what) = self.notes.take(notes) {
            self.refuse(what);
        }
    }

    fn keep(&mut self, token: u64, descriptor: OwnedFd) {
        if self.kept.len() >= MAX_KEPT && !self.kept.contains_key(&token) {
            self.refuse("too many kept descriptors");
            return;
        }
        self.kept.insert(token, descriptor);
    }

    /// Takes what the workers have said since the last call.
    pub fn listen(&mut self, now: Time) {
        while let Ok((worker, message)) = self.heard.try_recv() {
            match message {
                FromWorker::Released(port) => {
                    self.released(*port);
                    self.dismiss(now);
                }
                FromWorker::Closed { port, counters, failure } => {
                    if self.ports.remove(&port).is_some() {
                        self.say(FromPlane::Closed { port, counters, failure });
                    }
                    self.dismiss(now);
                }
                FromWorker::Died(reason) => self.died(worker, reason, now),
                FromWorker::Ready { tier, reason, notes } => {
                    if let Some(post) = self.posts.get_mut(worker as usize) {
                        post.ready(tier, reason.clone(), notes.clone());
                    }
                    self.say(FromPlane::Ready { worker, tier, reason, notes });
                }
                FromWorker::Report(report) => {
                    for (id, counters) in &report.ports {
                        if let Some(held) = self.ports.get_mut(id) {
                            held.spec.counters.clone_from(counters);
                        }
                    }
                    self.say(FromPlane::Report { worker, report });
                }
                FromWorker::Programmed(generation) => {
                    self.say(FromPlane::Programmed { worker, generation });
                }
            }
        }
    }

    /// What is to be told to control, if one is there.
    pub fn answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// When [`Self::tick`] is due.
    pub fn next_timeout(&self) -> Time {
        self.posts.iter().filter_map(Post::due).chain([self.age_at]).min().unwrap_or(self.age_at)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Time) {
        if self.age_at <= now {
            self.age_at = now.plus(AGE);
            for worker in self.posted() {
                self.crew.send(worker, ToWorker::Age);
            }
        }
        self.start_again(now);
    }

    /// Everything there is, for a control process that has come: the inventory, and its ports.
    pub fn inventory(&mut self) -> Vec<Answer> {
        let mut ports = Vec::new();
        let mut lost = Vec::new();
        for (id, held) in self.ports.iter().filter(|(_, held)| held.stays()) {
            let port = held.spec.clone();
            match held.socket.try_clone() {
                Ok(socket) => {
                    ports.push((FromPlane::Port { worker: held.worker(), port }, Some(socket)));
                }
                Err(_) => lost.push(*id),
            }
        }
        // A port that control does not know would be opened twice.
        lost.into_iter().for_each(|id| self.close(id));
        let inventory = Inventory {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: Settings { workers: self.plans(), ..self.settings.clone() },
            generation: self.fib.generation(),
            workers: self.posts.iter().map(Post::state).collect(),
            kept: self.kept.keys().copied().collect(),
            notes: self.notes.all(),
            trouble: self.trouble.clone(),
            follow: u32::try_from(ports.len()).unwrap_or(u32::MAX),
        };
        let first = (FromPlane::Inventory(Box::new(inventory)), None);
        std::iter::once(first).chain(ports).collect()
    }

    /// Ends all workers and waits for them.
    pub fn stop(mut self) {
        for worker in self.posted() {
            self.crew.send(worker, ToWorker::Stop);
        }
        for worker in self.posted() {
            self.crew.stop(worker);
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
