//! The places of workers: who runs, who has died and when it is started again, who is too many.

use super::{Crew, Engine, FromPlane, MAX_WORKERS, ToWorker, WorkerState};
use crate::dataplane::link::{Tier, WorkerPlan};
use crate::types::Time;
use std::time::Duration;

/// A worker that died is started again after this, and later each time, up to [`RESTART_MAX`].
const RESTART_MIN: Duration = Duration::from_millis(50);
const RESTART_MAX: Duration = Duration::from_secs(5);
/// A worker that has run so long counts as healthy again.
const HEALTHY: Duration = Duration::from_secs(60);

/// The place of one worker.
#[derive(Debug)]
pub(super) struct Post {
    plan: WorkerPlan,
    state: WorkerState,
    /// None = it has died and waits; else since when it runs.
    up: Option<Time>,
    start_at: Time,
    /// Deaths in a row, without a healthy time between.
    in_a_row: u32,
    /// It is too many, and ends when its last port has left.
    surplus: bool,
}

impl Post {
    pub(super) fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// When it is to be started.
    pub(super) fn due(&self) -> Option<Time> {
        (self.up.is_none() && !self.surplus).then_some(self.start_at)
    }

    pub(super) fn ready(&mut self, tier: Tier, reason: Option<String>, notes: Vec<String>) {
        self.state.tier = Some(tier);
        self.state.reason = reason;
        self.state.notes = notes;
    }

    pub(super) fn state(&self) -> WorkerState {
        self.state.clone()
    }
}

impl<C: Crew> Engine<C> {
    /// Numbers of the workers that run.
    pub(super) fn posted(&self) -> Vec<u32> {
        (0u32..).zip(&self.posts).filter(|(_, post)| post.is_up()).map(|(n, _)| n).collect()
    }

    pub(super) fn plans(&self) -> Vec<WorkerPlan> {
        self.posts.iter().filter(|post| !post.surplus).map(|post| post.plan).collect()
    }

    /// Lets the workers be these. A plan of a worker that runs takes effect when it is started again.
    pub(super) fn workers(&mut self, plans: Vec<WorkerPlan>, now: Time) {
        if plans.is_empty() || plans.len() > MAX_WORKERS {
            return self.refuse("there must be 1 to 64 workers");
        }
        let wanted = plans.len();
        for (number, plan) in plans.into_iter().enumerate() {
            if let Some(post) = self.posts.get_mut(number) {
                post.plan = plan;
                post.surplus = false;
                continue;
            }
            let (state, up) = (WorkerState::default(), None);
            self.posts.push(Post { plan, state, up, start_at: now, in_a_row: 0, surplus: false });
        }
        for post in self.posts.iter_mut().skip(wanted) {
            post.surplus = true;
        }
        // Whoever takes workers away has moved their ports before; what was forgotten goes on all the
        // same.
        let left: Vec<_> = self
            .ports
            .iter()
            .filter(|(_, held)| held.stays() && held.worker() as usize >= wanted)
            .map(|(id, held)| (*id, held.worker() as usize % wanted))
            .collect();
        for (id, to) in left {
            self.move_to(id, u32::try_from(to).unwrap_or(0));
        }
        self.start_again(now);
        self.dismiss(now);
    }

    /// Starts the workers whose time has come.
    pub(super) fn start_again(&mut self, now: Time) {
        for number in 0..self.posts.len() {
            let post = &mut self.posts[number];
            if post.due().is_none_or(|at| at > now) {
                continue;
            }
            // At most MAX_WORKERS.
            let worker = number as u32;
            if let Err(error) = self.crew.start(worker, post.plan) {
                post.start_at = now.plus(RESTART_MAX);
                post.state.reason = Some(error.to_string());
                self.say(FromPlane::Died { worker, reason: error.to_string() });
                continue;
            }
            post.up = Some(now);
            // The table before the ports: a frame must not meet an empty one.
            self.publish_to(worker, Vec::new(), Vec::new());
            let ports: Vec<_> = self
                .ports
                .iter()
                .filter(|(_, held)| held.with() == worker && !held.leaves())
                .map(|(id, _)| *id)
                .collect();
            ports.into_iter().for_each(|id| self.hand_out(id));
        }
    }

    pub(super) fn died(&mut self, worker: u32, reason: String, now: Time) {
        let Some(post) = self.posts.get_mut(worker as usize) else { return };
        // Its thread has ended or is about to.
        self.crew.stop(worker);
        let since = post.up.take().unwrap_or(now);
        let healthy = now.since(since) >= HEALTHY;
        post.in_a_row = if healthy { 0 } else { post.in_a_row.saturating_add(1) };
        let doublings = post.in_a_row.saturating_sub(1).min(10);
        post.start_at = now.plus(RESTART_MIN.saturating_mul(1 << doublings).min(RESTART_MAX));
        post.state.tier = None;
        post.state.deaths += 1;
        post.state.reason = Some(reason.clone());
        self.say(FromPlane::Died { worker, reason });
        self.bereaved(worker);
        self.dismiss(now);
    }

    /// Ends workers that are too many and have no ports left.
    pub(super) fn dismiss(&mut self, now: Time) {
        while let Some(last) = self.posts.last().filter(|post| post.surplus) {
            // At most MAX_WORKERS.
            let worker = (self.posts.len() - 1) as u32;
            if self.ports.values().any(|held| held.with() == worker) {
                return;
            }
            let up = last.is_up();
            self.posts.pop();
            if up {
                self.crew.send(worker, ToWorker::Collect(0));
                self.crew.stop(worker);
                // Its last report comes before the news of its end.
                self.listen(now);
            }
            self.say(FromPlane::Stopped { worker });
        }
    }
}
