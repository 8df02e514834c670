//! Groups that interfaces' hardware is to let in though the kernel has not joined them.

use crate::sys::link;
use crate::types::IfIndex;
use crate::wire::ethernet;
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};

/// An interface and the MAC address of groups: 32 groups share one.
type Place = (IfIndex, [u8; 6]);

/// Asked for by one packet socket that receives nothing (PACKET_MR_MULTICAST, packet(7)).
#[derive(Debug, Default)]
pub struct HardwareGroups {
    /// None = nothing was asked for yet.
    socket: Option<OwnedFd>,
    held: BTreeSet<Place>,
}

impl HardwareGroups {
    /// Lets in exactly these from now on; those that could not be, with the reason. They are tried again at the
    /// next call.
    pub fn set(
        &mut self,
        wanted: &BTreeSet<(IfIndex, Ipv4Addr)>,
    ) -> Vec<((IfIndex, Ipv4Addr), io::Error)> {
        let place = |&(index, group): &(IfIndex, Ipv4Addr)| (index, ethernet::of_group(group));
        let places: BTreeSet<Place> = wanted.iter().map(place).collect();
        let unwanted: Vec<Place> = self.held.difference(&places).copied().collect();
        // The kernel's list begins with the newest.
        for place in unwanted.into_iter().rev() {
            self.release(place);
        }
        let mut failed = Vec::new();
        for pair in wanted {
            if let Err(error) = self.hold(place(pair)) {
                failed.push((*pair, error));
            }
        }
        failed
    }

    /// Forgets everything on an interface that no longer exists. To be called before one of the same index is
    /// asked for.
    pub fn interface_gone(&mut self, index: IfIndex) {
        let gone: Vec<Place> = self.held.iter().filter(|place| place.0 == index).copied().collect();
        gone.into_iter().for_each(|place| self.release(place));
    }

    fn hold(&mut self, place: Place) -> io::Result<()> {
        if self.held.contains(&place) {
            return Ok(());
        }
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => link::socket()?,
        };
        let socket = self.socket.insert(socket);
        match link::set_multicast_address(socket.as_fd(), place.0, place.1, true) {
            // A link without MAC addresses filters nothing.
            Err(error) if error.raw_os_error() != Some(libc::EINVAL) => return Err(error),
            _ => self.held.insert(place),
        };
        Ok(())
    }

    fn release(&mut self, (index, mac): Place) {
        if let Some(socket) = &self.socket {
            // With the interface the kernel has forgotten it.
            let _ = link::set_multicast_address(socket.as_fd(), index, mac, false);
        }
        self.held.remove(&(index, mac));
    }
}
