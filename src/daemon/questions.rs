//! Questions that wait for the workers' counters.

use crate::control::event::{Refusal, Reply, Request};
use crate::types::Time;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where an answer goes.
pub(super) type ReplySender = oneshot::Sender<Result<Reply, Refusal>>;

/// How long a question waits for workers; then it is answered with what is known.
const PATIENCE: Duration = Duration::from_secs(1);

/// A question whose answer waits.
pub(super) struct Question {
    number: u64,
    pub(super) request: Request,
    /// The answer as far as it is known already; none = it is read off when the workers have reported.
    pub(super) known: Option<Reply>,
    pub(super) reply: ReplySender,
    missing: BTreeSet<u32>,
    deadline: Time,
}

/// See the module. Bounded by the channel that questions come through and by [`PATIENCE`].
#[derive(Default)]
pub(super) struct Questions {
    waiting: Vec<Question>,
    last: u64,
}

impl Questions {
    /// Notes a question; returns the number to collect counters under.
    pub(super) fn ask(
        &mut self,
        request: Request,
        known: Option<Reply>,
        reply: ReplySender,
        workers: BTreeSet<u32>,
        now: Time,
    ) -> u64 {
        self.last += 1;
        self.waiting.push(Question {
            number: self.last,
            request,
            known,
            reply,
            missing: workers,
            deadline: now.plus(PATIENCE),
        });
        self.last
    }

    /// A worker has reported for a question, so for all questions before it.
    pub(super) fn reported(&mut self, worker: u32, number: u64) {
        for question in self.waiting.iter_mut().filter(|question| question.number <= number) {
            question.missing.remove(&worker);
        }
    }

    /// Nobody waits for a worker that is gone.
    pub(super) fn worker_died(&mut self, worker: u32) {
        for question in &mut self.waiting {
            question.missing.remove(&worker);
        }
    }

    /// Takes the questions that can be answered.
    pub(super) fn take_ready(&mut self, now: Time) -> Vec<Question> {
        self.waiting
            .extract_if(.., |question| question.missing.is_empty() || question.deadline <= now)
            .collect()
    }

    /// When the first question runs out of patience.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.waiting.iter().map(|question| question.deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_waits_for_all_workers_or_the_deadline() {
        let mut questions = Questions::default();
        let (reply, _answer) = oneshot::channel();
        let now = Time(5);
        let first = questions.ask(Request::Stats, None, reply, BTreeSet::from([0, 1]), now);
        questions.reported(0, first);
        assert!(questions.take_ready(now).is_empty());
        questions.reported(1, first - 1);
        assert!(questions.take_ready(now).is_empty(), "a report from before the question");
        questions.reported(1, first + 1);
        assert_eq!(questions.take_ready(now).len(), 1);

        let (reply, _answer) = oneshot::channel();
        questions.ask(Request::Stats, None, reply, BTreeSet::from([0]), now);
        let deadline = questions.deadline().expect("waits");
        assert_eq!(deadline, now.plus(PATIENCE));
        assert!(questions.take_ready(Time(deadline.0 - 1)).is_empty());
        assert_eq!(questions.take_ready(deadline).len(), 1);
    }
}
