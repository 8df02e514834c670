//! The internet checksum (RFC 1071).

use std::net::Ipv4Addr;

/// A running one's complement sum. Bytes are added in memory order, so the result is in network
/// order whatever the host's order is (RFC 1071 section 2, "byte order independence").
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds a run of bytes that starts at an even offset of the summed data.
    #[inline]
    pub fn bytes(self, data: &[u8]) -> Self {
        // Eight sums side by side, which the compiler adds in vectors. None can overflow: data would
        // have to be 128 GiB long. Carries out of 16 bits are folded at the end.
        let mut lanes = [0u64; 8];
        let (blocks, rest) = data.as_chunks::<32>();
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<4>().0) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        let mut sum = u128::from(self.0) + lanes.iter().copied().map(u128::from).sum::<u128>();
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            sum += u128::from(u64::from_ne_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0u8; 8];
            word[..rest.len()].copy_from_slice(rest);
            sum += u128::from(u64::from_ne_bytes(word));
        }
        Self(fold_to_64(sum))
    }

    /// Adds one 16-bit value given in host order.
    #[inline]
    pub fn word(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// The sum as 16 bits, not complemented, in host order.
    #[inline]
    pub fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // The loop leaves at most 16 bits.
        u16::from_be((sum & 0xffff) as u16)
    }
}

fn fold_to_64(sum: u128) -> u64 {
    let sum = (sum & u128::from(u64::MAX)) + (sum >> 64);
    let sum = (sum & u128::from(u64::MAX)) + (sum >> 64);
    (sum & u128::from(u64::MAX)) as u64
}

/// True where `header`, its checksum field included, sums to all ones (RFC 791 section 3.1).
#[inline]
pub fn header_is_valid(header: &[u8]) -> bool {
    Sum::default().bytes(header).fold() == 0xffff
}

/// The sum of the pseudo header that UDP (RFC 768), TCP, UDP-Lite and DCCP have in common:
/// addresses, protocol, length of the transport header and what follows it.
#[inline]
pub fn pseudo(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Sum {
    let addresses = Sum::default().bytes(&source.octets()).bytes(&destination.octets());
    addresses.word(u16::from(protocol)).word(length)
}

/// The pseudo header's sum for UDP.
#[inline]
pub fn udp_pseudo(source: Ipv4Addr, destination: Ipv4Addr, udp_length: u16) -> Sum {
    pseudo(source, destination, 17, udp_length)
}

/// The checksum `check` of data in which `old` has become `new`, both as long and an even number
/// of bytes from an even offset (RFC 1624 section 3, equation 3). It never turns a wrong checksum
/// into a right one. UDP writes a 0 that comes out as 0xffff.
#[inline]
pub fn update(check: u16, old: &[u8], new: &[u8]) -> u16 {
    let removed = Sum::default().bytes(old).fold();
    !Sum::default().word(!check).word(!removed).bytes(new).fold()
}

/// Fills in a checksum that was left to the device: the sum over `data`, in which the pseudo
/// header's sum stands at `at`, goes there. A 0 is written as 0xffff, which means the same
/// (skb_checksum_help, net/core/dev.c). False where `at` is no 16-bit field of `data` at an even offset.
pub fn complete(data: &mut [u8], at: usize) -> bool {
    let check = !Sum::default().bytes(data).fold();
    let Some(field) = data.get_mut(at..at + 2).filter(|_| at.is_multiple_of(2)) else {
        return false;
    };
    field.copy_from_slice(&if check == 0 { 0xffff } else { check }.to_be_bytes());
    true
}

/// True where the UDP `segment` (header and payload, checksum field included) is valid. A checksum
/// field of zero means that the sender computed none (RFC 768), which is valid.
#[inline]
pub fn udp_is_valid(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> bool {
    let Ok(length) = u16::try_from(segment.len()) else { return false };
    match segment.get(6..8) {
        Some([0, 0]) => true,
        Some(_) => udp_pseudo(source, destination, length).bytes(segment).fold() == 0xffff,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook form, two bytes at a time.
    fn naive(data: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in data.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn rfc_1071_section_3_example() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().bytes(&data).fold(), 0xddf2);
    }

    #[test]
    fn rfc_1624_section_4_examples() {
        assert_eq!(update(0xdd2f, &[0x55, 0x55], &[0x32, 0x85]), 0x0000);
        // A field of 0xffff (a sum of zero) whose data do not change stays what it is, as 0.
        assert_eq!(update(0xffff, &[0x12, 0x34], &[0x12, 0x34]), 0x0000);
    }

    proptest! {
        #[test]
        fn an_updated_checksum_is_the_one_of_the_new_data(
            mut data in proptest::collection::vec(any::<u8>(), 12..200),
            new in any::<[u8; 8]>(),
            at in 0usize..2,
        ) {
            data[11] |= 1;
            let before = !Sum::default().bytes(&data).fold();
            let old: [u8; 8] = data[at * 2..at * 2 + 8].try_into().expect("eight");
            data[at * 2..at * 2 + 8].copy_from_slice(&new);
            let after = !Sum::default().bytes(&data).fold();
            prop_assert_eq!(update(before, &old, &new) % 0xffff, after % 0xffff);
        }

        #[test]
        fn equals_the_textbook_form(data in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let ours = Sum::default().bytes(&data).fold();
            let theirs = naive(&data);
            // 0 and 0xffff are the same number in one's complement; an all-zero sum stays 0.
            prop_assert_eq!(ours % 0xffff, theirs % 0xffff);
            prop_assert_eq!(ours == 0, theirs == 0);
        }

        #[test]
        fn a_changed_bit_is_seen(mut data in proptest::collection::vec(any::<u8>(), 9..200), at in 0usize..1600) {
            let (source, destination) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(239, 1, 1, 1));
            data[6] = 0;
            data[7] = 0;
            let length = data.len() as u16;
            let check = match !udp_pseudo(source, destination, length).bytes(&data).fold() { 0 => 0xffff, c => c };
            data[6..8].copy_from_slice(&check.to_be_bytes());
            prop_assert!(udp_is_valid(source, destination, &data));
            let bit = at % (data.len() * 8);
            data[bit / 8] ^= 1 << (bit % 8);
            // Clearing the whole field would mean "no checksum"; one bit cannot do that unless one bit was set.
            if data[6] != 0 || data[7] != 0 {
                prop_assert!(!udp_is_valid(source, destination, &data));
            }
        }
    }
}
