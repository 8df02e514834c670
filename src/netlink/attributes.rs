//! The attributes of rtnetlink messages that we read, by number (if_link.h, if_addr.h,
//! rtnetlink.h), and safe readers for their values.

use netlink_packet_core::{NlaBuffer, NlasIterator};
use std::net::IpAddr;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINK: u16 = 5;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_LINK_NETNSID: u16 = 37;
pub(super) const IFLA_CARRIER_DOWN_COUNT: u16 = 48;
pub(super) const IFLA_PROP_LIST: u16 = 52;
pub(super) const IFLA_ALT_IFNAME: u16 = 53;

pub(super) const IFA_ADDRESS: u16 = 1;
pub(super) const IFA_LOCAL: u16 = 2;

pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_PRIORITY: u16 = 6;
pub(super) const RTA_PREFSRC: u16 = 7;
pub(super) const RTA_MULTIPATH: u16 = 9;
pub(super) const RTA_TABLE: u16 = 15;
pub(super) const RTA_VIA: u16 = 18;

/// The attributes of a message or of a nested attribute, up to the first malformed one.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

/// A 32-bit number in host byte order.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// A string, up to its terminating zero. Bytes that are not UTF-8 are replaced.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// An address of 4 or 16 bytes.
pub(super) fn address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(value) {
        Some(IpAddr::from(v4))
    } else {
        <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
    }
}

/// `struct rtvia`: a 16-bit family and an address of that family.
pub(super) fn via(value: &[u8]) -> Option<IpAddr> {
    value.get(2..).and_then(address)
}
