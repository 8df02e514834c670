//! L4, sockets that control opens: upstream memberships, input ports, IGMP on links.

pub mod filter;
pub mod igmp;
pub mod membership;
pub mod ports;
pub mod shards;
#[cfg(test)]
mod test_wire;
