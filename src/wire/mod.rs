//! L1, codecs: bounds-checked views of headers and the one internet checksum. Pure.

pub mod checksum;
pub mod ethernet;
pub mod ipv4;
pub mod transport;
pub mod udp;
