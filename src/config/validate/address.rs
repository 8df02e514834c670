//! Addresses and prefixes as text, and which of them a rule can use.

use super::super::diagnose::quoted;
use crate::types::is_multicast;
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All multicast groups (RFC 5771 section 3).
const MULTICAST: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);
/// The groups that belong to their link (RFC 5771 section 4).
pub(crate) const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);
/// The addresses of a host to itself (RFC 1122 section 3.2.1.3).
const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
const ZERO: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8);
const RESERVED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(240, 0, 0, 0), 4);

/// What an address is for; decides the example that a message gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A group, or a unicast address where a group could stand.
    Group,
    /// A unicast address.
    Host,
    /// A prefix of unicast addresses.
    Prefix,
}

impl Use {
    fn example(self) -> &'static str {
        match self {
            Self::Group => "239.1.1.1",
            Self::Host => "10.0.0.9",
            Self::Prefix => "10.20.0.0/16",
        }
    }
}

/// How many hosts an address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// The members of a group.
    Multicast,
    /// All on the link: 255.255.255.255.
    Broadcast,
    /// One, or all of a subnet: which of them, only the interface knows.
    Unicast,
}

impl Cast {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(Ipv4Addr::BROADCAST) => Self::Broadcast,
            address if is_multicast(address) => Self::Multicast,
            _ => Self::Unicast,
        }
    }
}

/// One address of either family. A prefix of full length is one. The error says what would be right.
pub(crate) fn parse(text: &str, usage: Use) -> Result<IpAddr, String> {
    let net = parse_net(text, usage)?;
    if net.prefix_len() == net.max_prefix_len() {
        return Ok(net.addr());
    }
    Err(format!("{net} is a prefix; give one address, such as \"{}\"", usage.example()))
}

/// An address or a prefix of either family; an address is a prefix of full length. The error says
/// what would be right.
pub(crate) fn parse_net(text: &str, usage: Use) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    if let Some((address, length)) = text.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
    {
        let full = if address.is_ipv4() { 32 } else { 128 };
        let number = length.bytes().all(|b| b.is_ascii_digit()).then(|| length.parse::<u8>().ok());
        let Some(net) = number.flatten().and_then(|length| IpNet::new(address, length).ok()) else {
            return Err(format!(
                "{} is not a prefix: its length goes from 0 to {full}",
                quoted(text)
            ));
        };
        if net.trunc() != net {
            return Err(format!(
                "{net}: write {} for the prefix, or {address} for the one address",
                net.trunc()
            ));
        }
        return Ok(net);
    }
    Err(what_is_it(text, usage.example()))
}

/// What is wrong with a text that is neither address nor prefix.
fn what_is_it(text: &str, example: &str) -> String {
    let shown = quoted(text);
    if text.trim() != text {
        return format!("{shown} has white space around the address; remove it");
    }
    if let Some((address, port)) = text.rsplit_once(':')
        && (address.parse::<Ipv4Addr>().is_ok() || bracketed(address).is_some())
    {
        let port = quoted(port);
        return format!(
            "{shown} is an address and a port; give the address alone, and {port} as port"
        );
    }
    if let Some((first, _)) = text.split_once('-')
        && first.trim().parse::<IpAddr>().is_ok()
    {
        return format!("{shown} is a range; write prefixes, such as \"239.1.1.0/24\"");
    }
    if looks_padded(text) {
        return format!("{shown} has numbers that begin with 0; write \"{example}\"");
    }
    format!("{shown} is not an IP address such as \"{example}\" (names are not looked up)")
}

/// The address in `[…]`.
pub(crate) fn bracketed(text: &str) -> Option<Ipv6Addr> {
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn looks_padded(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4 && parts.iter().all(|p| (1..=3).contains(&p.len()) && p.parse::<u8>().is_ok())
}

/// The address alone where the prefix holds no more.
pub(crate) fn text_of(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// What can be forwarded.
pub(crate) fn ipv4(net: IpNet) -> Result<Ipv4Net, String> {
    match net {
        IpNet::V4(net) => Ok(net),
        IpNet::V6(_) => {
            let shown = text_of(&net);
            Err(format!("{shown}: IPv6 is not forwarded yet; give an IPv4 address"))
        }
    }
}

/// Groups, the limited broadcast or a unicast address; which of them. 127.0.0.0/8 too.
pub(crate) fn destination(net: Ipv4Net) -> Result<Cast, String> {
    if net.prefix_len() == 32 && net.addr() == Ipv4Addr::BROADCAST {
        return Ok(Cast::Broadcast);
    }
    if MULTICAST.contains(&net) {
        return Ok(Cast::Multicast);
    }
    if net.contains(&MULTICAST) {
        return Err(format!("{net} is more than the multicast groups; 224.0.0.0/4 is all of them"));
    }
    if !LOOPBACK.contains(&net) {
        host_block(net)?;
    }
    if net.prefix_len() < 32 {
        return Err(format!(
            "{net} is a prefix of unicast addresses; give one address, or a prefix of groups \
             (within 224.0.0.0/4)"
        ));
    }
    Ok(Cast::Unicast)
}

/// The unicast address of a host on a network.
pub(crate) fn host(net: Ipv4Net) -> Result<(), String> {
    if MULTICAST.contains(&net) {
        return Err(format!("{} is a multicast group; give the address of a host", net.addr()));
    }
    host_block(net)
}

/// The address of a sending host, or a prefix of such addresses.
pub(crate) fn source(net: Ipv4Net) -> Result<(), String> {
    if net.prefix_len() == 0 {
        return Err(format!("{net} is every source; leave it out to take every source"));
    }
    if MULTICAST.contains(&net) {
        let groups = if net.prefix_len() == 32 { "group" } else { "prefix" };
        let shown = text_of(&IpNet::V4(net));
        return Err(format!(
            "{shown} is a multicast {groups}; a source is the address of the sending host"
        ));
    }
    if net.prefix_len() == 32 && net.addr().is_unspecified() {
        return Err("0.0.0.0 is no source; leave source out to take every source".to_owned());
    }
    host_block(net)
}

/// A unicast address that a host can have, or a prefix of such addresses.
fn host_block(net: Ipv4Net) -> Result<(), String> {
    let right = "give a group (224.0.1.0 to 239.255.255.255) or the address of a host";
    let is = if net.prefix_len() == 32 && net.addr() == Ipv4Addr::BROADCAST {
        "the broadcast address"
    } else if ZERO.contains(&net) {
        "not the address of a host (0.0.0.0/8)"
    } else if LOOPBACK.contains(&net) {
        "a loopback address (127.0.0.0/8), which no network carries"
    } else if RESERVED.contains(&net) {
        "reserved (240.0.0.0/4)"
    } else {
        return Ok(());
    };
    Err(format!("{} is {is}; {right}", text_of(&IpNet::V4(net))))
}
