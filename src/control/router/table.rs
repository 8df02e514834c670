//! The table that workers forward by: made of all rules, and published.

use super::{Output, Router};
use crate::control::joined::{Narrowed, Narrower};
use crate::control::loops;
use crate::control::resolve::{Needs, resolve};
use crate::fib::{Builder, Fib, Packed};
use crate::types::{Membership, Time};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Router {
    /// The table that is in force.
    pub fn table(&self) -> Arc<Fib> {
        Arc::new(self.fib.unpack())
    }

    /// A data plane is there that knows nothing: it shall have the table, whatever was sent before.
    pub fn publish_again(&mut self) {
        self.resend = true;
        self.dirty = true;
    }

    /// Resolves all rules against the interfaces there are, and asks for what follows from it. The
    /// table goes out before ports are opened, so that no frame meets a table without its rule.
    pub(super) fn recompile(&mut self, now: Time) {
        let mut builder = Builder::default();
        let mut needs = Needs::default();
        let mut iifs = BTreeSet::new();
        let mut table = Vec::new();
        let mut resolutions = Vec::new();
        resolutions.resize_with(self.rules.slots(), || None);
        for entry in self.rules.by_precedence() {
            if !entry.rule.enabled {
                continue;
            }
            let (resolution, resolved) = resolve(entry, &self.interfaces, &mut needs);
            table.extend(resolved);
            resolutions[entry.slot.0 as usize] = Some(resolution);
        }
        self.resolutions = resolutions;
        self.needed = needs.ports;
        self.loops = loops::block(&mut table, &self.interfaces);
        self.members.run_on(now, &self.interfaces, &needs.lingers);
        let wanted = &self.members.wanted;
        let mut narrower =
            Narrower { asks: &needs.asks, wanted, now, narrowed: Narrowed::default() };
        for resolved in table {
            iifs.insert(resolved.iif);
            narrower.divide(resolved).into_iter().for_each(|part| builder.rule(part));
        }
        let narrowed = narrower.narrowed;
        self.joined_groups = narrowed.groups;
        self.members.watched = narrowed.watched;
        // All that is known is in this table.
        self.members.take_changed();
        (self.compile_at, self.compiled_at) = (None, now);
        let asked_for = needs.memberships.into_iter().chain(narrowed.memberships);
        // From a list, which is sorted once: one by one they would take twice the room.
        let memberships: BTreeSet<Membership> = asked_for.collect();
        for iif in iifs {
            for net in self.interfaces.addresses(iif) {
                builder.own_address(iif, net.addr());
            }
        }
        let compiled = builder.build(self.fib.generation() + 1);
        self.conflicts = compiled.conflicts;
        self.publish(compiled.fib);
        self.update_ports(now);
        self.ask_upstream(now, memberships);
    }

    /// Gives the workers a new table, unless all of them have one that does the same.
    fn publish(&mut self, fib: Fib) {
        let (reset_rules, reset_outputs) = self.rules.take_resets();
        let packed = Packed::from(&fib);
        // What was sent, all workers get, those that are started later too.
        let sent = !std::mem::take(&mut self.resend);
        if sent && reset_rules.is_empty() && packed.forwards_like(&self.fib) {
            return;
        }
        self.fib = packed;
        if !reset_rules.is_empty() {
            self.last_reset = self.fib.generation();
        }
        self.lost_slots.reset(&reset_rules, &reset_outputs);
        for worker in &mut self.workers {
            worker.slots.reset(&reset_rules, &reset_outputs);
        }
        let fib = Arc::new(fib);
        self.outputs.push_back(Output::Publish { fib, reset_rules, reset_outputs });
    }
}
