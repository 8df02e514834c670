//! Longest prefix match by one hash probe for each length in use.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The prefix lengths that a table has, per family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixLengths {
    /// Bit n: length n is in use.
    v4: u64,
    /// Bit n - 1: length n is in use; length 0 has a field of its own.
    v6: u128,
    v6_zero: bool,
}

impl PrefixLengths {
    /// Notes the length of a prefix.
    pub fn add(&mut self, net: &IpNet) {
        match (net, net.prefix_len()) {
            (IpNet::V4(_), length) => self.v4 |= 1 << length,
            (IpNet::V6(_), 0) => self.v6_zero = true,
            (IpNet::V6(_), length) => self.v6 |= 1 << (length - 1),
        }
    }

    /// True where every length is one that an address of its family has.
    pub(super) fn are_sound(&self) -> bool {
        self.v4 < 1 << 33
    }

    /// What `probe` has for the longest prefix that contains the address.
    #[inline]
    pub fn find<T>(&self, address: IpAddr, mut probe: impl FnMut(IpNet) -> Option<T>) -> Option<T> {
        self.covering(address).find_map(&mut probe)
    }

    /// The prefixes of the lengths in use that contain the address, the longest first.
    #[inline]
    pub fn covering(&self, address: IpAddr) -> impl Iterator<Item = IpNet> + use<> {
        let (mut v4, mut v6, mut v6_zero) = match address {
            IpAddr::V4(_) => (self.v4, 0, false),
            IpAddr::V6(_) => (0, self.v6, self.v6_zero),
        };
        std::iter::from_fn(move || match address {
            IpAddr::V4(address) => {
                let length = 63u32.checked_sub(v4.leading_zeros())?;
                v4 &= !(1 << length);
                let mask = if length == 0 { 0 } else { u32::MAX << (32 - length) };
                let network = (u32::from(address) & mask).into();
                Ipv4Net::new(network, u8::try_from(length).ok()?).ok().map(IpNet::V4)
            }
            IpAddr::V6(address) => {
                let length = match 127u32.checked_sub(v6.leading_zeros()) {
                    Some(bit) => {
                        v6 &= !(1 << bit);
                        bit + 1
                    }
                    None if std::mem::take(&mut v6_zero) => 0,
                    None => return None,
                };
                let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
                let network = (u128::from(address) & mask).into();
                Ipv6Net::new(network, u8::try_from(length).ok()?).ok().map(IpNet::V6)
            }
        })
    }
}

/// The last `bits` bits of an IPv4 address.
pub(super) const fn host_mask(bits: u8) -> u32 {
    if bits >= 32 { u32::MAX } else { (1 << bits) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a prefix")).collect()
    }

    #[test]
    fn the_longest_comes_first_and_only_lengths_in_use() {
        let mut lengths = PrefixLengths::default();
        for net in nets(&["10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "ff00::/8", "::/0", "::1/128"])
        {
            lengths.add(&net);
        }
        let v4: Vec<IpNet> = lengths.covering("10.9.8.7".parse().expect("v4")).collect();
        assert_eq!(v4, nets(&["10.9.8.7/32", "10.0.0.0/8", "0.0.0.0/0"]));
        let v6: Vec<IpNet> = lengths.covering("ff02::1".parse().expect("v6")).collect();
        assert_eq!(v6, nets(&["ff02::1/128", "ff00::/8", "::/0"]));
        assert_eq!(PrefixLengths::default().covering("::1".parse().expect("v6")).count(), 0);
    }

    #[test]
    fn host_masks() {
        assert_eq!(host_mask(0), 0);
        assert_eq!(host_mask(8), 0xff);
        assert_eq!(host_mask(32), u32::MAX);
    }
}
