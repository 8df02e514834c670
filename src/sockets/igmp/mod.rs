//! IGMP packets of links: received whoever they are for, and sent with a header of ours.

mod filter;
mod hardware;
mod listeners;
mod sender;

pub use hardware::HardwareGroups;
pub use listeners::{Listeners, MAX_PACKET};
pub use sender::Sender;

#[cfg(test)]
mod tests;
