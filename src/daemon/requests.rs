//! What is asked at the control socket.

use super::questions::ReplySender;
use super::{Daemon, clock};
use crate::control::event::{Event, Refusal, Reply, Request};
use crate::control::notice::Notice;
use crate::control::view::LogLevel;
use crate::dataplane::process::message::ToPlane;
use crate::telemetry::{Filter, SetBy};
use crate::types::{Origin, Rule};

impl Daemon {
    pub(super) fn ask(&mut self, request: Request, reply: ReplySender) {
        let now = clock::now();
        // Askers may have gone; that is their affair.
        match request {
            Request::AddRule(rule) => self.add(rule, reply),
            Request::ReplaceRules(set) => self.replace(set, reply),
            Request::RemoveRule(ref selector) => {
                // The rule as it was: afterwards it is not there to be shown.
                let removed = self.router.answer(now, &request);
                let event = Event::RemoveRule(selector.clone());
                let outcome = self.router.handle(now, event).and(removed);
                self.settle();
                match outcome {
                    // Answered when no worker forwards by it any more.
                    Ok(removed) => self.ask_workers(request, Some(removed), reply),
                    Err(refusal) => {
                        let _ = reply.send(Err(refusal));
                    }
                }
            }
            Request::LogLevel => {
                let _ = reply.send(Ok(Reply::LogLevel(self.log_level())));
            }
            Request::SetLogLevel { level, module } => {
                let _ = reply.send(self.set_log_level(&level, module.as_deref()));
            }
            Request::Upgrade => self.upgrade(reply),
            Request::UpgradeDataPlane => {
                let outcome = self.replace_plane().map_err(Refusal::NoUpgrade);
                let _ = reply.send(outcome.map(Reply::DataPlaneUpgrade));
            }
            Request::Ping => {
                let mut answer = self.router.answer(now, &Request::Ping);
                if let Ok(Reply::Pong(pong)) = &mut answer {
                    pong.state_file = self.state_file.as_ref().map(|file| file.status());
                }
                let _ = reply.send(answer);
            }
            Request::RuleSet(_)
            | Request::DryRun(_)
            | Request::Interfaces
            | Request::Mroute
            | Request::IgmpGroups(_)
            | Request::IgmpInterfaces(_)
            | Request::IgmpStats(_) => {
                let _ = reply.send(self.router.answer(now, &request));
                self.rest_soon();
            }
            Request::Rules | Request::Stats | Request::Workers => {
                self.ask_workers(request, None, reply);
            }
        }
    }

    fn add(&mut self, rule: Rule, reply: ReplySender) {
        let now = clock::now();
        if let Some(status) = self.router.has(&rule) {
            let _ = reply.send(Ok(Reply::Unchanged(Box::new(status))));
            return;
        }
        if let Err(refusal) = self.router.handle(now, Event::AddRule(rule.clone())) {
            let _ = reply.send(Err(refusal));
            return;
        }
        self.settle();
        // Somebody else may remove it before the workers have it: it was added all the same.
        let request = Request::AddRule(rule);
        let added = self.router.answer(now, &request).ok();
        self.ask_workers(request, added, reply);
    }

    fn replace(&mut self, set: Vec<Rule>, reply: ReplySender) {
        let before = self.router.rules_of(Some(Origin::Runtime));
        let checked = self.router.check_set(Origin::Runtime, &set);
        let event = Event::Rules { origin: Origin::Runtime, set };
        if let Err(refusal) = checked.and_then(|()| self.router.handle(clock::now(), event)) {
            let _ = reply.send(Err(refusal));
            return;
        }
        self.settle();
        let changes = Reply::Changes(self.router.changes_since(&before));
        self.ask_workers(Request::ReplaceRules(Vec::new()), Some(changes), reply);
    }

    /// Answers when all workers have reported: then they work by the table that there is now.
    fn ask_workers(&mut self, request: Request, known: Option<Reply>, reply: ReplySender) {
        let now = clock::now();
        let number = self.questions.ask(request, known, reply, self.sockets.running(), now);
        self.sockets.send(&ToPlane::Collect(number), None);
        self.answer_ready();
    }

    /// Answers the questions for which all workers have reported, or the time is over.
    pub(super) fn answer_ready(&mut self) {
        let now = clock::now();
        let ready = self.questions.take_ready(now);
        if ready.is_empty() {
            return;
        }
        for question in ready {
            let answer = match (&question.request, question.known) {
                (Request::AddRule(rule), Some(known)) => Ok(match self.router.has(rule) {
                    Some(status) => Reply::Rule(Box::new(status)),
                    None => known,
                }),
                (_, Some(known)) => Ok(known),
                (request, None) => self.router.answer(now, request),
            };
            // The asker may have gone; that is its affair.
            let _ = question.reply.send(answer);
        }
        self.rest_soon();
    }

    fn log_level(&self) -> LogLevel {
        let filter = self.logging.filter();
        let modules = filter.modules().iter();
        LogLevel {
            level: filter.level().to_owned(),
            modules: modules.map(|(module, level)| (module.clone(), (*level).into())).collect(),
            filter: filter.to_string(),
            set_by: self.logging.set_by().name().to_owned(),
        }
    }

    fn set_log_level(&mut self, level: &str, module: Option<&str>) -> Result<Reply, Refusal> {
        let filter = match module {
            Some(module) => self.logging.filter().with_module(module, level),
            None => level.parse::<Filter>(),
        };
        let filter = filter.map_err(Refusal::BadLogLevel)?;
        self.logging.set(filter.clone(), SetBy::Runtime).map_err(Refusal::Unavailable)?;
        self.announce(vec![Notice::LogLevelChanged { filter: filter.to_string() }]);
        Ok(Reply::LogLevel(self.log_level()))
    }
}
