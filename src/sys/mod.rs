//! L4, unsafe fence A: socket options and system calls that the crates lack.

pub mod udp;
