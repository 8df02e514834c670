//! The configuration file, loaded again: at SIGHUP, or because it has changed.

use super::{Daemon, clock};
use crate::config::{self, Diagnostics, Loaded};
use crate::control::event::Event;
use crate::control::notice::Notice;
use crate::telemetry::{Filter, SetBy};
use crate::types::Origin;
use std::path::Path;
use tracing::{error, warn};

/// The settings that take effect at a start only, and the number of workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    dataplane: config::Dataplane,
    control: config::ControlSettings,
    log_format: config::LogFormat,
}

impl Settings {
    pub(super) fn of(loaded: &Loaded) -> Self {
        Self {
            dataplane: loaded.dataplane.clone(),
            control: loaded.control.clone(),
            log_format: loaded.log.format,
        }
    }

    /// True where the file names another control socket than it did.
    pub(super) fn other_socket(&self, loaded: &Loaded) -> bool {
        self.control.socket != loaded.control.socket
    }

    /// The names of those that are not the same.
    fn different(&self, other: &Self) -> Vec<String> {
        let dataplane =
            config::Dataplane { workers: self.dataplane.workers, ..other.dataplane.clone() };
        let sections = [
            ("dataplane", self.dataplane != dataplane),
            ("control", self.control != other.control),
            ("log.format", self.log_format != other.log_format),
        ];
        sections.into_iter().filter(|(_, differ)| *differ).map(|(name, _)| name.into()).collect()
    }
}

/// Loads a configuration on a thread of its own. What it takes for that while is many times what stays: it
/// lies in that thread's heap, apart from what stays, and can be given back to the last page.
pub(super) fn load_apart(path: &Path) -> Result<Loaded, Diagnostics> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("mcr-load".into());
        match thread.spawn_scoped(scope, || config::load_file(path)) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // There is no room for a thread.
            Err(_) => config::load_file(path),
        }
    })
}

impl Daemon {
    /// The file's rules become these, all at once, or nothing changes.
    pub(super) fn reload(&mut self) {
        let Some(path) = self.config.clone() else {
            warn!("SIGHUP without a configuration file: nothing to load");
            return;
        };
        self.service.reloading(clock::now());
        let notices = self.load(&path);
        self.announce(notices);
        self.settle();
        self.service.reloaded();
    }

    fn load(&mut self, path: &Path) -> Vec<Notice> {
        let file = path.display().to_string();
        let loaded = match load_apart(path) {
            Ok(loaded) => loaded,
            Err(diagnostics) => {
                let mistakes = diagnostics.to_string().lines().map(str::to_owned).collect();
                return vec![Notice::ConfigurationRefused { file, mistakes }];
            }
        };
        let mut notices = Vec::new();
        let sections = self.settings.different(&Settings::of(&loaded));
        let rules = loaded.rules.len();
        let event = Event::Rules { origin: Origin::File, set: loaded.rules };
        if let Err(refusal) = self.router.handle(clock::now(), event) {
            let mistakes = vec![refusal.to_string()];
            return vec![Notice::ConfigurationRefused { file, mistakes }];
        }
        // Whoever loads the file now means it as it is.
        self.hold = None;
        self.sockets.forget_old();
        self.tell(Event::Igmp(loaded.igmp));
        self.tell(Event::Workers(loaded.dataplane.workers));
        notices.push(Notice::ConfigurationLoaded { file, rules });
        if !sections.is_empty() {
            notices.push(Notice::RestartNeeded { sections });
        }
        notices.extend(self.log_as(loaded.log.level.name()));
        notices
    }

    /// Logs as the file says, where nobody else has said something.
    fn log_as(&mut self, level: &str) -> Option<Notice> {
        let filter: Filter = level.parse().ok()?;
        if filter == *self.logging.filter() {
            return None;
        }
        match self.logging.set(filter.clone(), SetBy::File) {
            Ok(set) => set.then(|| Notice::LogLevelChanged { filter: filter.to_string() }),
            Err(error) => {
                error!(error, "cannot change the log level");
                None
            }
        }
    }
}
