//! The memory of sends that are in the kernel's hands.

use super::token::Token;
use crate::dataplane::ancillary::{self, RAW_LEN, SEND_LEN};
use crate::dataplane::backend::{HEADER_LEN, Header, PIECES, SENDS, SendRequest, SendTo};
use crate::sys::address::Address;
use std::net::SocketAddrV4;

/// Control data, aligned as cmsg(3) wants it.
#[repr(C, align(8))]
struct Control([u8; SEND_LEN]);

/// One sendmsg: header, address, the bytes before the payload and control data, which point to each
/// other.
struct Slot {
    header: libc::msghdr,
    address: Address,
    before: [u8; HEADER_LEN],
    control: Control,
    generation: u32,
    tag: u32,
    busy: bool,
}

/// A fixed number of slots, and of vectors that they share; none ever moves.
pub(super) struct SendSlots {
    slots: Box<[Slot]>,
    free: Vec<u32>,
    vectors: Box<[libc::iovec]>,
    /// Vectors from here on are free; all are when nothing is in flight.
    used: usize,
}

impl SendSlots {
    pub(super) fn new(count: usize) -> Self {
        let empty = || Slot {
            // SAFETY: a plain C struct, for which all zeros is a valid value.
            header: unsafe { std::mem::zeroed() },
            address: Address::empty(),
            before: [0; HEADER_LEN],
            control: Control([0; SEND_LEN]),
            generation: 0,
            tag: 0,
            busy: false,
        };
        let slots: Box<[Slot]> = (0..count).map(|_| empty()).collect();
        // Lowest first, so that a small load touches few cache lines.
        let free = (0..u32::try_from(count).unwrap_or(0)).rev().collect();
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // One more for each send's header.
        let vectors = vec![vector; PIECES + SENDS].into_boxed_slice();
        Self { slots, free, vectors, used: 0 }
    }

    /// True where one more send of so many pieces has a place.
    pub(super) fn has_room(&self, pieces: usize) -> bool {
        !self.free.is_empty() && self.used + pieces < self.vectors.len()
    }

    /// How many are in the kernel's hands.
    pub(super) fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Prepares a slot: its place, generation and header. None where there is no room or a piece has
    /// no bytes to point to. What stands before the payload is copied into the slot and stays there
    /// until the completion; the `payload` must stay valid until then (invariant 2: the caller
    /// recycles buffers after the flush).
    pub(super) fn fill<'p>(
        &mut self,
        request: &SendRequest,
        before: &Header,
        payload: impl ExactSizeIterator<Item = Option<&'p [u8]>>,
    ) -> Option<(u32, u32, *const libc::msghdr)> {
        if self.in_flight() == 0 {
            self.used = 0;
        }
        if !self.has_room(payload.len()) {
            return None;
        }
        let index = self.free.last().copied()?;
        let slot = &mut self.slots[index as usize];
        let before = before.bytes();
        // Most sends have nothing before their payload: one vector less for the kernel to read.
        let first = usize::from(before.is_empty());
        let vectors = &mut self.vectors[self.used..];
        vectors[0].iov_base = slot.before.as_mut_ptr().cast();
        vectors[0].iov_len = before.len();
        let mut count = 1;
        for piece in payload {
            let piece = piece?;
            // sendmsg only reads; iovec has no const form.
            vectors[count].iov_base = piece.as_ptr().cast_mut().cast();
            vectors[count].iov_len = piece.len();
            count += 1;
        }
        self.used += count;
        self.free.pop();
        slot.busy = true;
        slot.tag = request.tag;
        slot.before[..before.len()].copy_from_slice(before);
        let (address, control_len) = match request.to {
            SendTo::Udp { to, options } => {
                let len = ancillary::write(&options, request.segment, &mut slot.control.0);
                (Address::v4(to), len)
            }
            SendTo::Link { oif } => (Address::link(oif), 0),
            SendTo::Raw { to, oif } => {
                ancillary::write_interface(oif, &mut slot.control.0);
                (Address::v4(SocketAddrV4::new(to, 0)), RAW_LEN)
            }
        };
        slot.address = address.0;
        slot.header.msg_name = (&raw mut slot.address).cast();
        slot.header.msg_namelen = address.1;
        slot.header.msg_iov = vectors[first..].as_mut_ptr();
        slot.header.msg_iovlen = count - first;
        slot.header.msg_control = slot.control.0.as_mut_ptr().cast();
        slot.header.msg_controllen = control_len;
        Some((index, slot.generation, &raw const slot.header))
    }

    /// Frees a slot whose completion has come: its tag, or none where the token is stale.
    pub(super) fn complete(&mut self, index: u32, generation: u32) -> Option<u32> {
        let slot = self.slots.get_mut(index as usize)?;
        if !slot.busy || slot.generation != generation {
            return None;
        }
        slot.busy = false;
        slot.generation = Token::next_generation(slot.generation);
        self.free.push(index);
        Some(slot.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::ancillary::SendOptions;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn request(tag: u32) -> SendRequest {
        SendRequest {
            socket: -1,
            to: SendTo::Udp {
                to: SocketAddrV4::new(Ipv4Addr::new(239, 1, 1, 1), 5000),
                options: SendOptions { oif: 1, source: Ipv4Addr::UNSPECIFIED, ttl: 16, tos: 0 },
            },
            segment: 0,
            tag,
        }
    }

    proptest! {
        /// Against a naive model: a list of (index, generation, tag) that are in flight.
        #[test]
        fn slots_follow_the_model(steps in proptest::collection::vec((any::<bool>(), any::<usize>()), 1..400)) {
            const COUNT: usize = 8;
            let mut slots = SendSlots::new(COUNT);
            let mut model: Vec<(u32, u32, u32)> = Vec::new();
            let mut done: Vec<(u32, u32)> = Vec::new();
            for (n, (fill, choice)) in steps.into_iter().enumerate() {
                let tag = n as u32;
                if fill {
                    match slots.fill(&request(tag), &Header::EMPTY, [Some(&b"data"[..])].into_iter()) {
                        Some((index, generation, _)) => {
                            prop_assert!(model.len() < COUNT);
                            prop_assert!(model.iter().all(|&(other, _, _)| other != index));
                            model.push((index, generation, tag));
                        }
                        None => prop_assert_eq!(model.len(), COUNT),
                    }
                } else if !model.is_empty() {
                    let (index, generation, tag) = model.swap_remove(choice % model.len());
                    prop_assert_eq!(slots.complete(index, generation), Some(tag));
                    done.push((index, generation));
                }
                // What has completed does not complete again.
                for &(index, generation) in &done {
                    prop_assert_eq!(slots.complete(index, generation), None);
                }
                prop_assert_eq!(slots.in_flight(), model.len());
            }
        }
    }
}
