//! Questions about addresses that the standard library answers per family only.

use std::net::IpAddr;

/// True for 224.0.0.0/4 (RFC 5771) and ff00::/8 (RFC 4291 section 2.7).
pub fn is_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}
