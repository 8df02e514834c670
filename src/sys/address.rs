//! Socket addresses as the kernel reads them.

use std::net::SocketAddrV4;

/// The address of one send: IPv4 and port, or an interface.
#[derive(Clone, Copy)]
#[repr(C)]
pub union Address {
    v4: libc::sockaddr_in,
    link: libc::sockaddr_ll,
}

impl Address {
    /// IPv4 address and port, with its length.
    pub fn v4(to: SocketAddrV4) -> (Self, libc::socklen_t) {
        let v4 = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: to.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
            sin_zero: [0; 8],
        };
        let mut address = Self::empty();
        address.v4 = v4;
        (address, size_of::<libc::sockaddr_in>() as libc::socklen_t)
    }

    /// The interface that an IPv4 frame leaves by, with its length. The frame carries its own link
    /// header, so no hardware address is named.
    pub fn link(oif: u32) -> (Self, libc::socklen_t) {
        let mut address = Self::empty();
        address.link = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_IP as u16).to_be(),
            // No index is negative, so one that does not fit is of no interface.
            sll_ifindex: i32::try_from(oif).unwrap_or(i32::MAX),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        (address, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    }

    /// A MAC address on the link of an interface, for IPv4 packets without a link header, with its length.
    pub fn link_to(oif: u32, mac: [u8; 6]) -> (Self, libc::socklen_t) {
        let (mut address, len) = Self::link(oif);
        let mut sll_addr = [0; 8];
        sll_addr[..mac.len()].copy_from_slice(&mac);
        address.link = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_IP as u16).to_be(),
            sll_ifindex: i32::try_from(oif).unwrap_or(i32::MAX),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr,
        };
        (address, len)
    }

    /// All zeros.
    pub fn empty() -> Self {
        Self {
            link: libc::sockaddr_ll {
                sll_family: 0,
                sll_protocol: 0,
                sll_ifindex: 0,
                sll_hatype: 0,
                sll_pkttype: 0,
                sll_halen: 0,
                sll_addr: [0; 8],
            },
        }
    }
}
