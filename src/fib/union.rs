//! The copies of all rules that match the same packets, put together.

use super::build::{Conflict, Resolved};
use super::prefixes::host_mask;
use super::{Action, CopyOut, Entry, OutputSlot, RuleSlot, Send, Target};
use crate::types::DropReason;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// What becomes of a copy that nobody has asked for; gone where some of its output is sent.
const NO_MEMBER: Action = Action::Drop(DropReason::NoMember);

/// Puts entries together and notes who loses to whom.
#[derive(Debug, Default)]
pub(super) struct Union {
    lost: BTreeSet<(OutputSlot, RuleSlot)>,
    served: BTreeSet<OutputSlot>,
}

impl Union {
    /// The entry of packets to `net` and these UDP ports, or of other protocols. Rules come in the
    /// order of precedence.
    pub(super) fn of<'r>(
        &mut self,
        net: &IpNet,
        ports: Option<(u16, u16)>,
        rules: impl Iterator<Item = &'r Resolved>,
    ) -> Entry {
        let unchanged = narrowed(Target::UNCHANGED, net);
        let own_port = ports.and_then(|(first, last)| (first == last).then_some(first));
        let (mut slots, mut copies): (Vec<RuleSlot>, Vec<CopyOut>) = (Vec::new(), Vec::new());
        let mut sends: Vec<(RuleSlot, Send)> = Vec::new();
        let (mut waiting, mut wanted): (bool, Vec<OutputSlot>) = (false, Vec::new());
        for rule in rules {
            // A rule with outputs that wait for members is here once for them, and again where there are some.
            if slots.last() != Some(&rule.slot) {
                slots.push(rule.slot);
            }
            for copy in &rule.copies {
                let Action::Send(send) = copy.action else {
                    waiting |= copy.action == NO_MEMBER;
                    copies.push(*copy);
                    continue;
                };
                wanted.push(copy.slot);
                let send = spelled_out(net, ports, send);
                // Never back unchanged to where it came from, in whatever words that is asked for.
                if send.oif == Some(rule.iif) && send.target == unchanged && send.port == own_port {
                    continue;
                }
                let action = match sends.iter().find(|(_, other)| same_copy(other, &send)) {
                    None => {
                        sends.push((rule.slot, send));
                        self.served.insert(copy.slot);
                        Action::Send(send)
                    }
                    Some((_, other)) if *other == send => {
                        self.served.insert(copy.slot);
                        continue;
                    }
                    Some((winner, _)) => {
                        self.lost.insert((copy.slot, *winner));
                        Action::Drop(DropReason::Contradicted)
                    }
                };
                copies.push(CopyOut { action, ..*copy });
            }
        }
        if waiting {
            copies.retain(|copy| copy.action != NO_MEMBER || !wanted.contains(&copy.slot));
        }
        Entry { rules: slots.into(), copies: copies.into() }
    }

    /// Everybody who lost.
    pub(super) fn conflicts(self) -> BTreeSet<Conflict> {
        let Self { lost, served } = self;
        lost.into_iter()
            .map(|(loser, winner)| Conflict { loser, winner, partial: served.contains(&loser) })
            .collect()
    }
}

/// What a target means for packets to `net`: the bits that the prefix fixes are filled in, so that
/// two rules which say the same in different words are seen to agree.
pub(super) fn narrowed(target: Target, net: &IpNet) -> Target {
    let (Target::Map { base: IpAddr::V4(base), host_bits }, IpNet::V4(net)) = (target, net) else {
        return target;
    };
    let mask = host_mask(host_bits);
    let base = u32::from(base) & !mask | u32::from(net.network()) & mask;
    match 32 - net.prefix_len() {
        0 => Target::Set(Ipv4Addr::from(base).into()),
        bits => {
            let base = Ipv4Addr::from(base & !host_mask(bits));
            Target::Map { base: base.into(), host_bits: bits }
        }
    }
}

fn spelled_out(net: &IpNet, ports: Option<(u16, u16)>, send: Send) -> Send {
    let port = match ports {
        Some((first, last)) => send.port.or((first == last).then_some(first)),
        None => None,
    };
    Send { target: narrowed(send.target, net), port, ..send }
}

/// Two sends to the same place are the same copy, however they are rewritten.
fn same_copy(a: &Send, b: &Send) -> bool {
    (a.oif, a.target, a.port) == (b.oif, b.target, b.port)
}
