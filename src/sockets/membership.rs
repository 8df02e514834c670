//! What we ask for upstream: multicast memberships held by kernel sockets.
//!
//! The kernel limits how many groups one socket joins (`net.ipv4.igmp_max_memberships`, 20) and from
//! how many sources (`net.ipv4.igmp_max_msf`, 10 a group), so memberships are spread over as many
//! sockets, *shards*, as they need. The kernel merges what all sockets of an interface want into
//! one IGMP state. The sockets are not bound to a port: they receive nothing.

use crate::sys::multicast::{join_group, join_source, leave_group, leave_source};
use crate::types::{IfIndex, Membership};
use slab::Slab;
use socket2::{Domain, Socket, Type};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};

/// The default of `net.ipv4.igmp_max_memberships`: no more are tried on one socket.
const SLOTS_PER_SHARD: usize = 20;
/// The default of `net.ipv4.igmp_max_msf`: no more are tried in one slot.
const SOURCES_PER_SLOT: usize = 10;

/// What the kernel keeps per socket: one entry for each interface and group.
type Slot = (IfIndex, Ipv4Addr);

/// A membership, in the order of [`Membership`]s and less than half as large.
type Joined = (Slot, Option<Ipv4Addr>);

/// Groups from every source and groups from listed sources never share a socket: a socket cannot
/// have both for one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AnySource,
    Listed,
}

#[derive(Debug)]
struct Shard {
    socket: Socket,
    number: u64,
    kind: Kind,
    /// Each with the number of sources in it (0 where any source is wanted).
    slots: HashMap<Slot, SlotUse, foldhash::fast::RandomState>,
    /// How many slots the kernel grants this socket, as far as we know.
    capacity: usize,
}

#[derive(Debug)]
struct SlotUse {
    sources: usize,
    /// How many sources the kernel grants this slot, as far as we know.
    capacity: usize,
}

/// All memberships that we hold; they end when this is dropped.
#[derive(Debug, Default)]
pub struct Memberships {
    /// Each with its shard.
    joined: BTreeMap<Joined, u32>,
    shards: Slab<Shard>,
    /// How many sockets were opened so far.
    opened: u64,
    /// Shards with free slots, per kind.
    room_any: BTreeSet<usize>,
    room_listed: BTreeSet<usize>,
    /// The shards with a slot for listed sources of an interface and group; true = has room.
    listed: HashMap<Slot, BTreeMap<usize, bool>, foldhash::fast::RandomState>,
}

impl Memberships {
    /// None yet; opens no socket.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the joined set equal to `wanted`: leaves first what is no longer wanted, then joins
    /// what is new. Returns the memberships that failed, each with an error that says what would
    /// help; they are tried again at the next call.
    pub fn set(&mut self, wanted: &BTreeSet<Membership>) -> Vec<(Membership, io::Error)> {
        let unwanted: Vec<Joined> = self
            .joined
            .keys()
            .filter(|joined| !wanted.contains(&membership(**joined)))
            .copied()
            .collect();
        // The kernel's list of an interface's groups is linear and begins with the newest.
        for joined in unwanted.into_iter().rev() {
            self.leave(joined);
        }
        let mut failed = Vec::new();
        for &membership in wanted {
            let joined =
                v4(membership).and_then(|joined| match self.joined.contains_key(&joined) {
                    true => Ok(()),
                    false => self.join(joined),
                });
            if let Err(error) = joined {
                failed.push((membership, error));
            }
        }
        failed
    }

    /// Forgets everything on an interface that no longer exists and frees its places in the
    /// sockets. To be called before an interface with the same index is joined on.
    pub fn interface_gone(&mut self, index: IfIndex) {
        let gone: Vec<Joined> =
            self.joined.keys().filter(|(slot, _)| slot.0 == index).copied().collect();
        let mut slots = BTreeSet::new();
        for joined in gone {
            if let Some(shard) = self.joined.remove(&joined) {
                slots.insert((shard, joined.0));
            }
        }
        for (shard, slot) in slots {
            self.free_slot(shard as usize, slot);
        }
    }

    /// Leaves everything on an interface and joins it again, so that its link hears of it anew: switches there may
    /// have forgotten. What cannot be joined again is missing until the next [`Self::set`].
    pub fn rejoin(&mut self, index: IfIndex) {
        let on_it: Vec<Joined> =
            self.joined.keys().filter(|(slot, _)| slot.0 == index).copied().collect();
        for joined in on_it.iter().rev() {
            self.leave(*joined);
        }
        for joined in on_it {
            if let Err(error) = self.join(joined) {
                tracing::debug!(ifindex = index.0, %error, "joining again failed");
            }
        }
    }

    /// The kernel sockets that hold memberships, by a number that no other has had.
    pub fn sockets(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        self.shards.iter().map(|(_, shard)| (shard.number, shard.socket.as_fd()))
    }

    /// What is joined now, in order.
    pub fn joined(&self) -> impl Iterator<Item = Membership> {
        self.joined.keys().copied().map(membership)
    }

    fn join(&mut self, joined: Joined) -> io::Result<()> {
        let (slot, source) = joined;
        let shard = match source {
            None => self.join_new_slot(Kind::AnySource, slot, None)?,
            Some(source) => match self.join_existing_slot(slot, source)? {
                Some(shard) => shard,
                None => self.join_new_slot(Kind::Listed, slot, Some(source))?,
            },
        };
        // A descriptor each: there are never 2^32.
        self.joined.insert(joined, u32::try_from(shard).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Adds a source where the group has a slot with room; none where there is no such slot.
    fn join_existing_slot(&mut self, slot: Slot, source: Ipv4Addr) -> io::Result<Option<usize>> {
        let Some(places) = self.listed.get_mut(&slot) else { return Ok(None) };
        for (&id, has_room) in places.iter_mut().filter(|(_, has_room)| **has_room) {
            let Some(shard) = self.shards.get_mut(id) else { continue };
            let Some(place) = shard.slots.get_mut(&slot) else { continue };
            match join_source(&shard.socket, slot.0, slot.1, source) {
                Ok(()) => place.sources += 1,
                Err(error) if is_limit(&error) => {
                    place.capacity = place.sources;
                    *has_room = false;
                    continue;
                }
                Err(error) => return Err(error),
            }
            *has_room = place.sources < place.capacity;
            return Ok(Some(id));
        }
        Ok(None)
    }

    /// Takes a new slot on a shard with room, or on a new one. A shard that refuses is full.
    fn join_new_slot(
        &mut self,
        kind: Kind,
        slot: Slot,
        source: Option<Ipv4Addr>,
    ) -> io::Result<usize> {
        loop {
            let id = match self.shard_with_room(kind, slot) {
                Some(id) => id,
                None => self.open_shard(kind)?,
            };
            let Some(shard) = self.shards.get_mut(id) else { continue };
            let joined = match source {
                None => join_group(&shard.socket, slot.0, slot.1),
                Some(source) => join_source(&shard.socket, slot.0, slot.1, source),
            };
            let Err(error) = joined else {
                let sources = usize::from(source.is_some());
                shard.slots.insert(slot, SlotUse { sources, capacity: SOURCES_PER_SLOT });
                if source.is_some() {
                    self.listed.entry(slot).or_default().insert(id, true);
                }
                self.note_room(id);
                return Ok(id);
            };
            if source.is_some() {
                // The kernel may have joined the group before it refused the source.
                let _ = leave_group(&shard.socket, slot.0, slot.1);
            }
            let fresh = shard.slots.is_empty();
            shard.capacity = shard.slots.len();
            if !is_limit(&error) {
                shard.capacity = SLOTS_PER_SHARD;
            }
            self.note_room(id);
            if fresh || !is_limit(&error) {
                return Err(explain(error, slot));
            }
        }
    }

    /// A shard of the kind with a free slot that has none for this interface and group yet.
    fn shard_with_room(&self, kind: Kind, slot: Slot) -> Option<usize> {
        match kind {
            Kind::AnySource => self.room_any.first().copied(),
            Kind::Listed => {
                let taken = self.listed.get(&slot);
                let free = |id: &&usize| taken.is_none_or(|taken| !taken.contains_key(id));
                self.room_listed.iter().find(free).copied()
            }
        }
    }

    fn open_shard(&mut self, kind: Kind) -> io::Result<usize> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).map_err(explain_socket)?;
        let slots = HashMap::default();
        let number = self.opened;
        self.opened += 1;
        Ok(self.shards.insert(Shard { socket, number, kind, slots, capacity: SLOTS_PER_SHARD }))
    }

    /// Brings the sets of shards with room up to date; closes a shard that holds nothing.
    fn note_room(&mut self, id: usize) {
        let Some(shard) = self.shards.get(id) else { return };
        let room = match shard.kind {
            Kind::AnySource => &mut self.room_any,
            Kind::Listed => &mut self.room_listed,
        };
        if shard.slots.is_empty() {
            room.remove(&id);
            self.shards.remove(id);
        } else if shard.slots.len() < shard.capacity {
            room.insert(id);
        } else {
            room.remove(&id);
        }
    }

    fn leave(&mut self, joined: Joined) {
        let Some(id) = self.joined.remove(&joined).map(|id| id as usize) else { return };
        let (slot, source) = joined;
        let Some(shard) = self.shards.get_mut(id) else { return };
        if let (Some(source), Some(place)) = (source, shard.slots.get_mut(&slot))
            && place.sources > 1
        {
            // ENODEV: the interface is gone, and the entry is freed by `interface_gone`.
            if leave_source(&shard.socket, slot.0, slot.1, source).is_err() {
                place.capacity = place.capacity.saturating_sub(1);
            }
            place.sources -= 1;
            let has_room = place.sources < place.capacity;
            if let Some(places) = self.listed.get_mut(&slot) {
                places.insert(id, has_room);
            }
            return;
        }
        self.free_slot(id, slot);
    }

    /// Leaves a group with whatever sources it has on this shard.
    fn free_slot(&mut self, id: usize, slot: Slot) {
        let Some(shard) = self.shards.get_mut(id) else { return };
        if shard.slots.remove(&slot).is_none() {
            return;
        }
        if let Err(error) = leave_group(&shard.socket, slot.0, slot.1) {
            // The kernel keeps the entry until the socket closes: one slot less.
            tracing::debug!(ifindex = slot.0.0, group = %slot.1, %error, "leaving a group failed");
            shard.capacity = shard.capacity.saturating_sub(1);
        }
        if let Some(places) = self.listed.get_mut(&slot) {
            places.remove(&id);
            if places.is_empty() {
                self.listed.remove(&slot);
            }
        }
        self.note_room(id);
    }
}

fn membership(((index, group), source): Joined) -> Membership {
    Membership { index, group: group.into(), source: source.map(IpAddr::from) }
}

fn v4(membership: Membership) -> io::Result<Joined> {
    let unsupported = || io::Error::new(io::ErrorKind::Unsupported, "IPv6 is not forwarded yet");
    let IpAddr::V4(group) = membership.group else { return Err(unsupported()) };
    let source = match membership.source {
        None => None,
        Some(IpAddr::V4(source)) => Some(source),
        Some(IpAddr::V6(_)) => return Err(unsupported()),
    };
    Ok(((membership.index, group), source))
}

/// ENOBUFS is the answer beyond `igmp_max_memberships`, `igmp_max_msf` and `optmem_max`.
fn is_limit(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

/// The same kind of error with what would help.
fn explain(error: io::Error, (index, group): Slot) -> io::Error {
    let text = match error.raw_os_error() {
        Some(libc::ENOBUFS) => format!(
            "joining {group}: {error}; raise net.ipv4.igmp_max_memberships (default 20), \
             net.ipv4.igmp_max_msf (default 10) or net.core.optmem_max"
        ),
        Some(libc::ENODEV) => format!("joining {group}: no interface has the index {index}"),
        Some(libc::EINVAL) => format!("joining {group}: {error}; is it a multicast address?"),
        _ => format!("joining {group} on interface index {index}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

fn explain_socket(error: io::Error) -> io::Error {
    let remedy = match error.raw_os_error() {
        Some(libc::EMFILE) => {
            "; one is needed for every 20 groups: raise the limit of open files (`ulimit -n`, or \
             LimitNOFILE= of the service)"
        }
        Some(libc::ENFILE) => "; raise fs.file-max",
        _ => "",
    };
    io::Error::new(error.kind(), format!("opening a socket for memberships: {error}{remedy}"))
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
