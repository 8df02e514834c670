//! The IGMP packets of links: what the core wants to hear and to say.

use crate::control::event::Event;
use crate::sockets::igmp::{HardwareGroups, Listeners, Sender};
use crate::types::{IfIndex, Transmit};
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use tracing::{debug, warn};

/// Packets that one turn of the loop takes before the core draws its consequences.
const PACKETS_A_TURN: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Links {
    listeners: Listeners,
    /// None = nothing was to be sent yet, or it cannot be opened.
    sender: Option<Sender>,
    hardware: HardwareGroups,
    /// It was said that nothing can be sent.
    complained: bool,
}

impl Links {
    /// Hears and says nothing yet. To be called within a runtime.
    pub(super) fn new() -> io::Result<Self> {
        let (listeners, hardware) = (Listeners::new()?, HardwareGroups::default());
        Ok(Self { listeners, sender: None, hardware, complained: false })
    }

    /// The next packets, as the core takes them: one, and what waits besides. Nothing is lost where this is
    /// cancelled.
    pub(super) async fn heard(&mut self) -> Vec<Event> {
        let first = self.listeners.next().await;
        let more = std::iter::from_fn(|| self.listeners.try_next()).take(PACKETS_A_TURN);
        let packets = std::iter::once(first).chain(more);
        let mut events: Vec<Event> =
            packets.map(|(index, packet)| Event::LinkPacket { index, packet }).collect();
        let lost = self.listeners.take_lost().into_iter();
        events.extend(lost.map(|(index, drops)| Event::LinkDrops { index, drops }));
        events
    }

    /// Listens on exactly these interfaces.
    pub(super) fn listen(&mut self, wanted: &BTreeSet<IfIndex>) -> Event {
        let failed = self.listeners.set(wanted);
        Event::Listeners {
            failed: failed.into_iter().map(|(index, error)| (index, error.to_string())).collect(),
        }
    }

    /// Interfaces that have gone from under their sockets, though nobody has said so.
    pub(super) fn unbound(&self) -> BTreeSet<IfIndex> {
        self.listeners.unbound()
    }

    /// Lets exactly these groups in.
    pub(super) fn let_in(&mut self, groups: &BTreeSet<(IfIndex, Ipv4Addr)>) {
        for ((index, group), error) in self.hardware.set(groups) {
            warn!(ifindex = index.0, %group, %error, "the interface may not let a group in");
        }
    }

    /// Says one thing; what cannot be sent now is repeated by the protocol.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        if self.sender.is_none() {
            match Sender::new() {
                Ok(sender) => self.sender = Some(sender),
                Err(error) if !std::mem::replace(&mut self.complained, true) => {
                    warn!(%error, "IGMP cannot be sent");
                }
                Err(_) => {}
            }
        }
        if let Some(Err(error)) = self.sender.as_ref().map(|sender| sender.send(transmit)) {
            debug!(ifindex = transmit.index.0, %error, "an IGMP packet was not sent");
        }
    }

    /// An interface is gone, with all that was asked for there.
    pub(super) fn interface_gone(&mut self, index: IfIndex) {
        self.listeners.interface_gone(index);
        self.hardware.interface_gone(index);
    }
}
