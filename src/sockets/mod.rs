//! L4, sockets that control opens: upstream memberships and input ports.

pub mod filter;
pub mod membership;
pub mod ports;
pub mod shards;
