//! Which fragments of which datagrams are here. The bytes are elsewhere: this says where to put
//! them, and what to think of a fragment.
//!
//! A fragment that overlaps another, contradicts the length that another one gave, or makes the
//! datagram longer than an IP packet can be, was made by an attacker or belongs to another datagram
//! with the same number; which of both is right cannot be known. As RFC 5722 section 3 wants it for
//! IPv6, the whole datagram is given up: what is held of it, this fragment, and those that follow
//! until its time is over. A fragment that repeats bytes that are here already, all of them and
//! equal, was doubled by the network: it alone is dropped (RFC 8200 section 4.5 allows that).

use super::backend::{PortHandle, SPARES};
use super::decode::Fragment;
use crate::types::Time;
use crate::wire::ipv4;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How long the first fragment waits for the last one.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Where the payload of a datagram starts in its spare buffer: there is room for the longest
/// header before it.
pub const PAYLOAD_AT: u32 = ipv4::MAX_HEADER_LEN as u32;

/// Fragments of one datagram have this in common (RFC 791 section 3.2); the way in is ours to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The port that they came in by.
    pub port: PortHandle,
    /// The VLAN of their frames.
    pub vlan: u16,
    /// IP source.
    pub source: Ipv4Addr,
    /// IP destination.
    pub destination: Ipv4Addr,
    /// The identification field.
    pub identification: u16,
    /// IP protocol.
    pub protocol: u8,
}

/// Units of eight bytes in the longest payload.
const UNITS: usize = 65_536 / 8;

/// One datagram that is not whole.
struct Slot {
    key: Key,
    since: Time,
    /// Its spare buffer; none once it has been given up.
    spare: Option<u32>,
    /// How many units are here.
    units: u32,
    /// How many fragments they came in.
    fragments: u32,
    /// Bytes of the payload, once the last fragment is here.
    len: Option<u32>,
    /// The end of the furthest fragment, in bytes.
    furthest: u32,
    /// Bytes of the first fragment's header, once it is here.
    header_len: Option<u8>,
}

/// What to do with a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its payload belongs there; of the fragment at offset 0 the header too, right before
    /// [`PAYLOAD_AT`]. With it, perhaps, the datagram is whole.
    Place {
        /// The spare buffer.
        spare: u32,
        /// Where in it.
        at: u32,
        /// What the fragments were part of.
        whole: Option<Whole>,
    },
    /// It is here already, if the bytes there are the same; else [`Reassembly::give_up`].
    Compare {
        /// The spare buffer.
        spare: u32,
        /// Where in it.
        at: u32,
    },
    /// It is to be dropped as invalid, and so many that were held with it.
    Invalid {
        /// How many were held.
        held: u32,
    },
    /// There is no room for its datagram.
    NoRoom,
}

/// A datagram that has become whole. Its spare buffer is in use until [`Reassembly::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The spare buffer.
    pub spare: u32,
    /// Bytes of its header, before [`PAYLOAD_AT`].
    pub header_len: u8,
    /// Bytes of its payload, from there on.
    pub payload_len: u32,
    /// How many fragments it came in, the last one included.
    pub fragments: u32,
}

/// At most [`SPARES`] datagrams that are not whole.
pub struct Reassembly {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The number of the first spare buffer.
    first: u32,
    /// For each spare buffer, which units are in it.
    here: Vec<[u64; UNITS / 64]>,
    /// Spare buffers of whole datagrams that are in use.
    used: Vec<u32>,
}

impl Reassembly {
    /// Nothing yet; spare buffers are numbered from `first`.
    pub fn new(first: u32) -> Self {
        let free = (first..).take(SPARES).collect::<Vec<_>>().into_iter().rev().collect();
        let here = vec![[0; UNITS / 64]; SPARES];
        Self {
            slots: Vec::with_capacity(SPARES),
            free,
            first,
            here,
            used: Vec::with_capacity(SPARES),
        }
    }

    /// True where it has something to time out.
    pub fn is_waiting(&self) -> bool {
        !self.slots.is_empty()
    }

    /// True where a new datagram has no buffer but would have one after [`Self::release`].
    pub fn waits_for_release(&self) -> bool {
        self.free.is_empty() && !self.used.is_empty()
    }

    /// Takes the buffers of whole datagrams back; nothing may be queued from them.
    pub fn release(&mut self) {
        self.free.append(&mut self.used);
    }

    /// Judges a fragment.
    pub fn offer(&mut self, key: Key, fragment: &Fragment, now: Time) -> Verdict {
        let Some(at) = self.place_of(key, now) else { return Verdict::NoRoom };
        let Some(spare) = self.slots[at].spare else { return Verdict::Invalid { held: 0 } };
        let (start, len) = (fragment.offset, fragment.payload_len);
        let end = start + len;
        let slot = &mut self.slots[at];
        let too_long = end as usize + usize::from(fragment.header_len) > ipv4::MAX_LEN;
        let beyond = slot.len.is_some_and(|len| end > len || (!fragment.more && end != len));
        let short_of_more = !fragment.more && end < slot.furthest;
        if len == 0 || (fragment.more && len % 8 != 0) || too_long || beyond || short_of_more {
            return Verdict::Invalid { held: self.spoil(at) };
        }
        let units = (start / 8) as usize..end.div_ceil(8) as usize;
        let place = PAYLOAD_AT + start;
        let here = &mut self.here[(spare - self.first) as usize];
        match units.clone().filter(|&unit| here[unit / 64] >> (unit % 64) & 1 != 0).count() {
            0 => {}
            // The last unit of the whole may be a short one: only the last fragment has it.
            known if known == units.len() && fragment.more == (slot.len != Some(end)) => {
                return Verdict::Compare { spare, at: place };
            }
            _ => return Verdict::Invalid { held: self.spoil(at) },
        }
        for unit in units.clone() {
            here[unit / 64] |= 1 << (unit % 64);
        }
        // At most 8192.
        slot.units += units.len() as u32;
        slot.fragments += 1;
        slot.furthest = slot.furthest.max(end);
        if !fragment.more {
            slot.len = Some(end);
        }
        if start == 0 {
            slot.header_len = Some(fragment.header_len);
        }
        let whole = self.whole(at);
        Verdict::Place { spare, at: place, whole }
    }

    /// The datagram, where nothing of it is missing; its slot is free then.
    fn whole(&mut self, at: usize) -> Option<Whole> {
        let slot = &self.slots[at];
        let (len, header_len, spare) = (slot.len?, slot.header_len?, slot.spare?);
        // The first fragment's header may be longer than those that the lengths were checked with: such
        // a datagram fits no packet, and its time runs out.
        if slot.units != len.div_ceil(8) || len + u32::from(header_len) > u32::from(u16::MAX) {
            return None;
        }
        let whole = Whole { spare, header_len, payload_len: len, fragments: slot.fragments };
        self.used.push(spare);
        self.slots.swap_remove(at);
        Some(whole)
    }

    /// The datagram's slot, a new one where it has none.
    fn place_of(&mut self, key: Key, now: Time) -> Option<usize> {
        if let Some(at) = self.slots.iter().position(|slot| slot.key == key) {
            return Some(at);
        }
        let spare = self.free.pop()?;
        if self.slots.len() >= SPARES {
            // What was given up is remembered for as long as nothing else needs the place.
            let oldest = self.slots.iter().enumerate().filter(|(_, slot)| slot.spare.is_none());
            let oldest = oldest.min_by_key(|(_, slot)| slot.since).map(|(at, _)| at);
            let Some(at) = oldest else {
                self.free.push(spare);
                return None;
            };
            self.slots.swap_remove(at);
        }
        self.here[(spare - self.first) as usize].fill(0);
        self.slots.push(Slot {
            key,
            since: now,
            spare: Some(spare),
            units: 0,
            fragments: 0,
            len: None,
            furthest: 0,
            header_len: None,
        });
        Some(self.slots.len() - 1)
    }

    /// Gives a datagram up: how many fragments of it were held.
    pub fn give_up(&mut self, key: Key) -> u32 {
        let at = self.slots.iter().position(|slot| slot.key == key);
        at.map_or(0, |at| self.spoil(at))
    }

    fn spoil(&mut self, at: usize) -> u32 {
        let slot = &mut self.slots[at];
        self.free.extend(slot.spare.take());
        std::mem::take(&mut slot.fragments)
    }

    /// Ends what has waited for too long; each port with the number of fragments that it loses.
    pub fn expire(&mut self, now: Time, lost: impl FnMut(PortHandle, u32)) {
        self.remove(|slot| now.since(slot.since) >= TIMEOUT, lost);
    }

    /// Ends what came in by a port: how many fragments.
    pub fn close(&mut self, port: PortHandle) -> u32 {
        let mut held = 0;
        self.remove(|slot| slot.key.port == port, |_, fragments| held += fragments);
        held
    }

    fn remove(&mut self, ends: impl Fn(&Slot) -> bool, mut lost: impl FnMut(PortHandle, u32)) {
        let mut at = 0;
        while at < self.slots.len() {
            if !ends(&self.slots[at]) {
                at += 1;
                continue;
            }
            let slot = self.slots.swap_remove(at);
            self.free.extend(slot.spare);
            lost(slot.key.port, slot.fragments);
        }
    }
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
