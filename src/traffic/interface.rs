//! Which interface an option means.

use crate::traffic::error::TrafficError;
use crate::types::{IfIndex, IfName, IfNameError};
use nix::ifaddrs::getifaddrs;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An interface as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceSpec {
    /// By its name.
    Name(IfName),
    /// By one of its IPv4 addresses.
    Address(Ipv4Addr),
}

impl FromStr for InterfaceSpec {
    type Err = IfNameError;
    fn from_str(text: &str) -> Result<Self, IfNameError> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

/// An interface that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: IfName,
    pub(crate) index: IfIndex,
    /// The address by which it was asked for.
    pub(crate) address: Option<Ipv4Addr>,
}

/// Finds the interface that `spec` means.
pub(crate) fn find(spec: &InterfaceSpec) -> Result<Interface, TrafficError> {
    let (name, address) = match spec {
        InterfaceSpec::Name(name) => (*name, None),
        InterfaceSpec::Address(address) => (owner_of(*address)?, Some(*address)),
    };
    match nix::net::if_::if_nametoindex(name.as_str()) {
        Ok(index) => Ok(Interface { name, index: IfIndex(index), address }),
        Err(_) => Err(TrafficError::Usage(format!(
            "there is no interface \"{name}\" here; there are: {}",
            names().join(", ")
        ))),
    }
}

fn owner_of(address: Ipv4Addr) -> Result<IfName, TrafficError> {
    let interfaces = getifaddrs()
        .map_err(|error| TrafficError::system("cannot list the interfaces", error.into()))?;
    interfaces
        .filter(|entry| {
            let own = entry.address.as_ref().and_then(|any| any.as_sockaddr_in());
            own.is_some_and(|own| own.ip() == address)
        })
        .find_map(|entry| entry.interface_name.parse().ok())
        .ok_or_else(|| {
            TrafficError::Usage(format!(
                "no interface here has the address {address}; name one of: {}",
                names().join(", ")
            ))
        })
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = getifaddrs()
        .map(|entries| entries.map(|entry| entry.interface_name).collect())
        .unwrap_or_default();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_found_by_name_and_by_address() {
        let by_name = find(&"lo".parse().expect("a name")).expect("loopback exists");
        let by_address = find(&"127.0.0.1".parse().expect("an address")).expect("loopback exists");
        assert_eq!(by_name.index, by_address.index);
        assert_eq!(by_name.name, by_address.name);
        assert_eq!(by_address.address, Some(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn what_does_not_exist_is_named_with_what_does() {
        for (spec, part) in [("nosuch0", "no interface \"nosuch0\""), ("192.0.2.77", "192.0.2.77")]
        {
            let error = find(&spec.parse().expect("well-formed")).expect_err("does not exist");
            let text = error.to_string();
            assert!(text.contains(part) && text.contains("lo"), "{text}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
