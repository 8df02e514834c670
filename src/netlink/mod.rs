//! L4, the rtnetlink monitor: subscribe, dump, stream, resync.
//!
//! ```text
//!  kernel --datagrams--> channel --messages--> decode --changes--> picture --events--> Monitor::next
//! ```
//!
//! One socket carries the dumps and the notifications, so that nothing reorders them but the
//! kernel, and nothing is buffered without a bound: a consumer that is too slow overflows the
//! socket's buffer, which is reported, and gets a new snapshot.

mod attributes;
mod channel;
pub mod decode;
mod monitor;
mod picture;
#[cfg(test)]
mod tests;

pub use monitor::Monitor;
