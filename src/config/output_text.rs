//! An output as the command line writes it.

use super::diagnose::quoted;
use super::v1::OutputSpec;
use super::validate::address::{self, Use};
use crate::types::{IfName, Port, is_multicast};
use ipnet::IpNet;

/// Reads an output of the command line: group, prefix of groups or address, port and interface with
/// colons between them. Port and interface can be left out from the right; an IPv6 address stands in brackets.
///
/// # Errors
/// What is wrong and what would be right.
pub fn parse_output(text: &str) -> Result<OutputSpec, String> {
    let wrong = |what: String| {
        format!(
            "output {}: {what}; write ADDRESS:PORT:INTERFACE, such as 239.2.2.2:6000:eth1",
            quoted(text)
        )
    };
    let (address, rest) = if text.starts_with('[') {
        let end = text.find(']').ok_or_else(|| wrong("']' is missing".to_owned()))?;
        let (inside, rest) = text.split_at(end + 1);
        let address = address::bracketed(inside).ok_or_else(|| {
            wrong(format!("{} is not an IPv6 address in brackets", quoted(inside)))
        })?;
        let rest = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return Err(wrong("':' is missing after ']'".to_owned())),
            rest => rest,
        };
        (IpNet::from(std::net::IpAddr::V6(address)), rest)
    } else {
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Err(wrong("an IPv6 address needs brackets".to_owned()));
        }
        let (address, rest) =
            text.split_once(':').map_or((text, None), |(address, rest)| (address, Some(rest)));
        (address::parse_net(address, Use::Group).map_err(wrong)?, rest)
    };
    let (port, interface) = match rest.map(|rest| rest.split_once(':').unwrap_or((rest, ""))) {
        None => (None, None),
        Some((port, interface)) => {
            let number = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse::<Port>());
            let Some(Ok(number)) = number else {
                return Err(wrong(format!("{} is not a port from 1 to 65535", quoted(port))));
            };
            let named = rest.is_some_and(|rest| rest.contains(':'));
            (Some(number.get()), named.then_some(interface))
        }
    };
    if let Some(interface) = interface.filter(|interface| interface.parse::<IfName>().is_err()) {
        return Err(wrong(format!("{} is not an interface name", quoted(interface))));
    }
    let shown = address::text_of(&address);
    let (group, address) = match is_multicast(address.addr()) {
        true => (Some(shown), None),
        false => (None, Some(shown)),
    };
    let interface = interface.map(str::to_owned);
    Ok(OutputSpec { interface, group, address, port, ..OutputSpec::default() })
}
