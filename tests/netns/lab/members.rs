//! Members of groups by sockets of the kernel: it speaks IGMP for them.

use super::Namespace;
use mcr::sys::multicast::{block_source, join_group, join_source};
use mcr::types::IfIndex;
use socket2::{Domain, Socket, Type};
use std::net::Ipv4Addr;

/// The kernel's default of `net.ipv4.igmp_max_memberships`.
const A_SOCKET: usize = 20;

/// A host's memberships; they end with the value.
pub(crate) struct Members {
    sockets: Vec<Socket>,
}

impl Members {
    /// Of these groups, from every source.
    pub(crate) fn of(host: &Namespace, interface: &str, groups: &[Ipv4Addr]) -> Self {
        let index = IfIndex(host.index(interface));
        Self::on(host, groups.chunks(A_SOCKET), |socket, groups| {
            for group in groups {
                join_group(socket, index, *group)
                    .unwrap_or_else(|error| panic!("{group}: {error}"));
            }
        })
    }

    /// Of a group, from these sources.
    pub(crate) fn including(
        host: &Namespace,
        interface: &str,
        group: Ipv4Addr,
        sources: &[Ipv4Addr],
    ) -> Self {
        let index = IfIndex(host.index(interface));
        Self::on(host, std::iter::once(sources), |socket, sources| {
            for source in sources {
                join_source(socket, index, group, *source).expect("a source-specific membership");
            }
        })
    }

    /// Of a group, from all but these sources.
    pub(crate) fn excluding(
        host: &Namespace,
        interface: &str,
        group: Ipv4Addr,
        sources: &[Ipv4Addr],
    ) -> Self {
        let index = IfIndex(host.index(interface));
        Self::on(host, std::iter::once(sources), |socket, sources| {
            join_group(socket, index, group).expect("a membership");
            for source in sources {
                block_source(socket, index, group, *source).expect("a source filter");
            }
        })
    }

    fn on<'a>(
        host: &Namespace,
        each: impl Iterator<Item = &'a [Ipv4Addr]> + Send,
        join: impl Fn(&Socket, &[Ipv4Addr]) + Send + Sync,
    ) -> Self {
        let open = |wanted| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a UDP socket");
            join(&socket, wanted);
            socket
        };
        Self { sockets: host.within(|| each.map(open).collect()) }
    }

    /// How many sockets hold them.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets.len()
    }
}

/// So many groups in a row.
pub(crate) fn groups(first: Ipv4Addr, count: u32) -> Vec<Ipv4Addr> {
    (0..count).map(|n| Ipv4Addr::from(u32::from(first) + n)).collect()
}
