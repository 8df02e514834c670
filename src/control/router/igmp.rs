//! IGMP within the core: members on our links, whose wishes make tables, and memberships of our own.

use super::{Output, Router};
use crate::control::members::wanted::{KnownGroup, KnownMembers};
use crate::types::{IfIndex, Membership, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// Members may come and go so fast that a large table is made over and over: for each rule and each group that
/// there is, the next one waits so long.
const COMPILE_SHARE: Duration = Duration::from_micros(5);
/// But never longer than this.
const LONGEST_COMPILE_WAIT: Duration = Duration::from_millis(200);
/// And where there are no more rules and groups than this, not at all.
const COMPILED_AT_ONCE: usize = 500;

impl Router {
    /// Does what is due, and takes up what members have said. True where a table is to be made now.
    pub(super) fn hear_members(&mut self, now: Time, due: bool) -> bool {
        if due {
            self.members.handle_timeout(now);
            self.upstream.handle_timeout(now);
            if self.members.listen_again(now) {
                self.outputs.push_back(Output::LinkListeners(self.listening.clone()));
            }
        }
        let notices = self.members.take_up(now, &self.interfaces);
        self.outputs.extend(notices.into_iter().map(Output::Notice));
        if self.members.take_changed() && self.compile_at.is_none() {
            let size = self.rules.len() + self.members.wanted.len();
            let wait = match u32::try_from(size).unwrap_or(u32::MAX) {
                _ if size <= COMPILED_AT_ONCE => Duration::ZERO,
                size => COMPILE_SHARE.saturating_mul(size).min(LONGEST_COMPILE_WAIT),
            };
            self.compile_at = Some(self.compiled_at.plus(wait));
        }
        self.compile_at.is_some_and(|at| at <= now)
    }

    /// Packets that IGMP has to send.
    pub(super) fn transmit(&mut self) {
        let members = std::iter::from_fn(|| self.members.poll_transmit());
        self.outputs.extend(members.map(Output::Transmit));
        let own = std::iter::from_fn(|| self.upstream.poll_transmit());
        self.outputs.extend(own.map(Output::Transmit));
    }

    /// Asks for the packets of all links on which IGMP runs.
    fn listen(&mut self) {
        let on: BTreeSet<IfIndex> =
            self.members.interfaces().chain(self.upstream.interfaces()).collect();
        if std::mem::take(&mut self.listen_anew) || on != self.listening {
            self.listening.clone_from(&on);
            self.outputs.push_back(Output::LinkListeners(on));
        }
    }

    /// Asks upstream for exactly these. Who is to ask no more leaves before another asks in its place.
    pub(super) fn ask_upstream(&mut self, now: Time, memberships: BTreeSet<Membership>) {
        self.upstream.run_on(now, &self.interfaces, &self.members.config().hosts);
        // Hosts may answer at once: what they say is to be heard.
        self.listen();
        self.transmit();
        self.memberships = memberships;
        let division = self.upstream.divide(&self.memberships);
        if let Some(kernel) = division.kernel {
            self.ask_again_at = None;
            self.outputs.push_back(Output::Memberships(kernel));
        }
        if let Some(hardware) = division.hardware {
            self.outputs.push_back(Output::HardwareGroups(hardware));
        }
        self.upstream.report(now);
    }

    /// Asks again where a link was lost and is there again.
    pub(super) fn ask_on_regained(&mut self, now: Time) {
        let by_kernel = self.upstream.take_regained(now);
        if by_kernel.is_empty() {
            return;
        }
        self.outputs.extend(by_kernel.into_iter().map(Output::RejoinInterface));
        // What could not be joined again is tried once more, and told.
        self.outputs.push_back(Output::Memberships(self.upstream.kernel().clone()));
    }

    /// Takes over what members wanted of a core before this one: that goes on until they have had the time to say
    /// it again.
    pub fn adopt_members(&mut self, known: impl IntoIterator<Item = KnownGroup>) {
        self.members.hold(known);
    }

    /// What members want, as far as that has changed since the last call; nothing while a table for it is still
    /// to be made.
    pub fn take_changed_members(&mut self) -> Vec<KnownMembers> {
        match self.compile_at {
            Some(_) => Vec::new(),
            None => self.members.take_notes(),
        }
    }

    /// All that members want.
    pub fn known_members(&self) -> Vec<KnownMembers> {
        self.members.all_notes()
    }
}
