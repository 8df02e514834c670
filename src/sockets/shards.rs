//! An interface whose frames are divided between several input sockets.

use super::ports::{InputSocket, Room};
use crate::types::{IfIndex, InputFilter, LinkLayer};
use std::collections::BTreeMap;
use std::io;

/// The sockets of one interface that divide its frames by source and destination address
/// (PACKET_FANOUT, packet(7)).
///
/// All are opened at once, and let nothing in before they are taken: which shard gets a flow depends on how
/// many there are, so none gets a frame that would be another's a moment later.
#[derive(Debug)]
pub struct Family {
    iif: IfIndex,
    link_layer: LinkLayer,
    room: Room,
    group: u16,
    /// Not taken yet, by shard.
    reserve: BTreeMap<u32, InputSocket>,
}

impl Family {
    /// Opens `shards` sockets that let nothing in; the other arguments are those of
    /// [`InputSocket::packet`].
    ///
    /// # Errors
    /// As [`InputSocket::packet`]; EINVAL before Linux 4.12, which has no numbers of its own for groups.
    pub fn open(iif: IfIndex, link_layer: LinkLayer, room: Room, shards: u32) -> io::Result<Self> {
        let (first, group) = InputSocket::shard(iif, link_layer, room, None)?;
        let mut reserve = BTreeMap::from([(0, first)]);
        for shard in 1..shards {
            let (socket, _) = InputSocket::shard(iif, link_layer, room, Some(group))?;
            reserve.insert(shard, socket);
        }
        Ok(Self { iif, link_layer, room, group, reserve })
    }

    /// One whose sockets are all taken, by this number of its group.
    pub fn of(iif: IfIndex, link_layer: LinkLayer, room: Room, group: u16) -> Self {
        Self { iif, link_layer, room, group, reserve: BTreeMap::new() }
    }

    /// The socket of a shard, which lets in what `filter` says; a new one of the group where it was taken
    /// before. While one is missing the others get its flows.
    ///
    /// # Errors
    /// As [`InputSocket::packet`]; EINVAL where all other sockets of the family are closed.
    pub fn take(&mut self, shard: u32, filter: &InputFilter) -> io::Result<InputSocket> {
        let mut socket = match self.reserve.remove(&shard) {
            Some(socket) => socket,
            None => InputSocket::shard(self.iif, self.link_layer, self.room, Some(self.group))?.0,
        };
        socket.set_filter(filter)?;
        Ok(socket)
    }
}

#[cfg(test)]
#[path = "shards_tests.rs"]
mod tests;
