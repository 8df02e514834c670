//! L4, unsafe fence A: socket options and system calls that the crates lack.

pub mod multicast;
#[cfg(test)]
pub(crate) mod test_namespace;
