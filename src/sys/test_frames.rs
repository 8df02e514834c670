//! Numbered frames of an unknown protocol (0x88b5, for experiments), sent by an interface: nothing else of a test's
//! namespace looks like them.

use super::address::Address;
use super::mmsg::{self, Message};
use super::packet;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};

/// A socket to send them by.
pub(crate) fn sender() -> OwnedFd {
    packet::frame_sender().expect("opens")
}

/// Broadcasts a frame of so many bytes with a number in it.
pub(crate) fn send(sender: &OwnedFd, oif: u32, number: u32, len: usize) {
    let mut frame = vec![0xff; len];
    frame[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame[14..18].copy_from_slice(&number.to_ne_bytes());
    let parts = vec![IoSlice::new(&[0; 10]), IoSlice::new(&frame)];
    let message = Message { to: Address::link(oif), control: [0; 8], control_len: 0, parts };
    assert_eq!(mmsg::send(sender.as_raw_fd(), &[message]).expect("sends"), 1);
}

/// The number of such a frame; none where it is another.
pub(crate) fn number(frame: &[u8]) -> Option<u32> {
    let rest = frame.get(12..)?.strip_prefix(&[0x88, 0xb5])?;
    Some(u32::from_ne_bytes(rest.get(..4)?.try_into().expect("four")))
}
