//! Addresses as text, and which of them a rule can use.

use super::super::diagnose::quoted;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for; decides the example that a message gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A group, or a unicast address where a group could stand.
    Group,
    /// A unicast address.
    Host,
}

impl Use {
    fn example(self) -> &'static str {
        match self {
            Self::Group => "239.1.1.1",
            Self::Host => "10.0.0.9",
        }
    }
}

/// An address of either family. A prefix of full length is an address. The error says what would be
/// right.
pub(crate) fn parse(text: &str, usage: Use) -> Result<IpAddr, String> {
    let example = usage.example();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address);
    }
    if let Some((address, length)) = text.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
    {
        let full = if address.is_ipv4() { 32 } else { 128 };
        return match length.parse::<u8>() {
            Ok(length) if length == full => Ok(address),
            Ok(length) if length < full => Err(format!(
                "{text} is a prefix, and prefixes are not supported by this version yet; give one \
                 address, such as \"{example}\""
            )),
            _ => Err(format!("{} is not a prefix: its length goes from 0 to {full}", quoted(text))),
        };
    }
    let shown = quoted(text);
    if text.trim() != text {
        return Err(format!("{shown} has white space around the address; remove it"));
    }
    if let Some((address, port)) = text.rsplit_once(':')
        && (address.parse::<Ipv4Addr>().is_ok() || bracketed(address).is_some())
    {
        let port = quoted(port);
        return Err(format!(
            "{shown} is an address and a port; give the address alone, and {port} as port"
        ));
    }
    if looks_padded(text) {
        return Err(format!("{shown} has numbers that begin with 0; write \"{example}\""));
    }
    Err(format!("{shown} is not an IP address such as \"{example}\" (names are not looked up)"))
}

/// The address in `[…]`.
pub(crate) fn bracketed(text: &str) -> Option<Ipv6Addr> {
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn looks_padded(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4 && parts.iter().all(|p| (1..=3).contains(&p.len()) && p.parse::<u8>().is_ok())
}

/// An address that can be forwarded.
pub(crate) fn ipv4(address: IpAddr) -> Result<Ipv4Addr, String> {
    match address {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => {
            Err(format!("{address}: IPv6 is not forwarded yet; give an IPv4 address"))
        }
    }
}

/// A group or unicast address that a rule can take or send to.
pub(crate) fn check(address: Ipv4Addr) -> Result<(), String> {
    if address.is_multicast() {
        return check_group(address);
    }
    check_host(address)
}

/// A group that may be relayed.
fn check_group(group: Ipv4Addr) -> Result<(), String> {
    if matches!(group.octets(), [224, 0, 0, _]) {
        return Err(format!(
            "{group} is link-local (224.0.0.0/24) and relaying it is not supported by this version \
             yet"
        ));
    }
    Ok(())
}

/// A unicast address that a host can have.
pub(crate) fn check_host(address: Ipv4Addr) -> Result<(), String> {
    let right = "give a group (224.0.1.0 to 239.255.255.255) or the address of a host";
    let is = match address.octets() {
        [255, 255, 255, 255] => "the broadcast address",
        [0, ..] => "not the address of a host (0.0.0.0/8)",
        [127, ..] => "a loopback address (127.0.0.0/8), which no network carries",
        [240..=255, ..] => "reserved (240.0.0.0/4)",
        _ => return Ok(()),
    };
    Err(format!("{address} is {is}; {right}"))
}
