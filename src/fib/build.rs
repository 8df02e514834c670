//! Compiles resolved rules into a [`Fib`].

use super::{
    ANY_PORT, ANY_SOURCE, Action, CopyOut, Entry, Fib, FlowKey, OutputSlot, RuleSlot, Send, Shapes,
};
use crate::types::{DropReason, IfIndex};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// A rule whose names have become interfaces.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its counter.
    pub slot: RuleSlot,
    /// What it matches; wildcards as in [`FlowKey`].
    pub key: FlowKey,
    /// Its copies, one for each output in the rule's order.
    pub copies: Vec<CopyOut>,
}

/// Two outputs want the same copy rewritten differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The output that is not served.
    pub loser: OutputSlot,
    /// The rule that wins.
    pub winner: RuleSlot,
}

/// Collects what a table is made of.
#[derive(Debug, Default)]
pub struct Builder {
    rules: Vec<Resolved>,
    own: Vec<(IfIndex, IpAddr)>,
}

impl Builder {
    /// Adds a rule. Rules added earlier take precedence in contradictions.
    pub fn rule(&mut self, rule: Resolved) {
        self.rules.push(rule);
    }

    /// Declares an address of ours on an interface.
    pub fn own_address(&mut self, iif: IfIndex, address: IpAddr) {
        self.own.push((iif, address));
    }

    /// Compiles the table. Each key holds the union of all rules that match a packet of that key,
    /// so that the most specific hit is the whole answer.
    pub fn build(self, generation: u64) -> (Fib, BTreeSet<Conflict>) {
        let mut by_key: HashMap<FlowKey, Vec<usize>> = HashMap::new();
        for (at, rule) in self.rules.iter().enumerate() {
            by_key.entry(rule.key).or_default().push(at);
        }
        let mut keys: BTreeSet<FlowKey> = by_key.keys().copied().collect();
        keys.extend(meets(&keys));

        let mut fib = Fib { generation, own: self.own.into_iter().collect(), ..Fib::default() };
        let mut conflicts = BTreeSet::new();
        for key in keys {
            let mut matching: Vec<usize> = covers(&key)
                .iter()
                .filter_map(|cover| by_key.get(cover))
                .flatten()
                .copied()
                .collect();
            matching.sort_unstable();
            let entry = union(&key, matching.iter().map(|&at| &self.rules[at]), &mut conflicts);
            fib.shapes.note(&key);
            // A table of 2^32 entries does not fit any memory that this runs on.
            fib.index.insert(key, u32::try_from(fib.entries.len()).unwrap_or(u32::MAX));
            fib.entries.push(entry);
        }
        for rule in &self.rules {
            fib.rule_slots = fib.rule_slots.max(rule.slot.0 + 1);
            for copy in &rule.copies {
                fib.output_slots = fib.output_slots.max(copy.slot.0 + 1);
            }
        }
        (fib, conflicts)
    }
}

impl Shapes {
    fn note(&mut self, key: &FlowKey) {
        match (key.source == ANY_SOURCE, key.port == ANY_PORT) {
            (false, false) => self.source_port = true,
            (false, true) => self.source = true,
            (true, false) => self.port = true,
            (true, true) => self.any = true,
        }
    }
}

/// The keys that match every packet of `key`: itself and its generalisations, each once.
fn covers(key: &FlowKey) -> Vec<FlowKey> {
    let mut all = vec![
        *key,
        FlowKey { port: ANY_PORT, ..*key },
        FlowKey { source: ANY_SOURCE, ..*key },
        FlowKey { port: ANY_PORT, source: ANY_SOURCE, ..*key },
    ];
    all.sort_unstable();
    all.dedup();
    all
}

/// A packet may match (S,G) of every port and (*,G) of one port, and neither key covers the
/// other: their meet (S,G) of that port must be in the table to hold the union of both.
fn meets(keys: &BTreeSet<FlowKey>) -> Vec<FlowKey> {
    let mut sources: BTreeMap<(IfIndex, IpAddr), Vec<IpAddr>> = BTreeMap::new();
    for key in keys.iter().filter(|key| key.port == ANY_PORT && key.source != ANY_SOURCE) {
        sources.entry((key.iif, key.destination)).or_default().push(key.source);
    }
    keys.iter()
        .filter(|key| key.port != ANY_PORT && key.source == ANY_SOURCE)
        .flat_map(|key| {
            let sources = sources.get(&(key.iif, key.destination)).map_or(&[][..], Vec::as_slice);
            sources.iter().map(|&source| FlowKey { source, ..*key })
        })
        .collect()
}

/// What a send means for packets of one key: "unchanged" becomes the packet's own value where the
/// key fixes it, so that two rules which say the same in different words are seen to agree.
fn spelled_out(key: &FlowKey, send: Send) -> Send {
    let own_port = (key.port != ANY_PORT).then_some(key.port);
    Send {
        destination: send.destination.or(Some(key.destination)),
        port: send.port.or(own_port),
        ..send
    }
}

/// Two sends with the same target are the same copy, however they are rewritten.
fn same_copy(a: &Send, b: &Send) -> bool {
    (a.oif, a.destination, a.port) == (b.oif, b.destination, b.port)
}

fn union<'a>(
    key: &FlowKey,
    rules: impl Iterator<Item = &'a Resolved>,
    conflicts: &mut BTreeSet<Conflict>,
) -> Entry {
    let mut entry = Entry::default();
    let mut sends: Vec<(RuleSlot, Send)> = Vec::new();
    for rule in rules {
        entry.rules.push(rule.slot);
        for copy in &rule.copies {
            let Action::Send(send) = copy.action else {
                entry.copies.push(*copy);
                continue;
            };
            let send = spelled_out(key, send);
            match sends.iter().find(|(_, other)| same_copy(other, &send)) {
                None => {
                    sends.push((rule.slot, send));
                    entry.copies.push(CopyOut { action: Action::Send(send), ..*copy });
                }
                Some((_, other)) if *other == send => {}
                Some((winner, _)) => {
                    conflicts.insert(Conflict { loser: copy.slot, winner: *winner });
                    entry
                        .copies
                        .push(CopyOut { action: Action::Drop(DropReason::Contradicted), ..*copy });
                }
            }
        }
    }
    entry
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
