//! L4, unsafe fence A: socket options and system calls that the crates lack. Each wrapper is safe
//! to call with any arguments; each unsafe block says why.
#![allow(unsafe_code)]

pub mod address;
pub mod capture_ring;
pub mod heap;
pub mod link;
pub mod mmsg;
pub mod multicast;
pub mod packet;
pub mod packet_ring;
pub mod readiness;
pub mod rights;
pub mod sched;
#[cfg(test)]
pub(crate) mod test_frames;
#[cfg(test)]
pub(crate) mod test_namespace;
pub mod udp;
