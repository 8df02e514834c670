//! The IPv4 header (RFC 791 section 3.1).

use std::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// The largest total length.
pub const MAX_LEN: usize = 65_535;
/// The "don't fragment" bit of the flags and offset word.
pub const DONT_FRAGMENT: u16 = 0x4000;
/// The "more fragments" bit of it.
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// The fragment offset in it, in units of eight bytes.
pub const OFFSET_MASK: u16 = 0x1fff;

/// A header whose version, header length and total length agree with the bytes at hand.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    header: &'a [u8],
    payload: &'a [u8],
}

/// Why bytes are not an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Error {
    /// Fewer than 20 bytes.
    Short,
    /// The version is not 4.
    Version,
    /// The header length or the total length contradicts itself or the bytes at hand.
    Length,
}

impl<'a> Ipv4<'a> {
    /// Bounds the packet by its total length; bytes behind it (Ethernet padding) are ignored.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Ipv4Error> {
        let first = *bytes.first().ok_or(Ipv4Error::Short)?;
        if first >> 4 != 4 {
            return Err(Ipv4Error::Version);
        }
        if bytes.len() < HEADER_LEN {
            return Err(Ipv4Error::Short);
        }
        let header_length = usize::from(first & 0x0f) * 4;
        let total_length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if header_length < HEADER_LEN || total_length < header_length || total_length > bytes.len()
        {
            return Err(Ipv4Error::Length);
        }
        let (header, rest) = bytes.split_at(header_length);
        Ok(Self { header, payload: &rest[..total_length - header_length] })
    }

    /// The header, options included.
    pub fn header(&self) -> &'a [u8] {
        self.header
    }

    /// What stands in the header after its fixed fields.
    pub fn options(&self) -> &'a [u8] {
        &self.header[HEADER_LEN..]
    }

    /// What the total length leaves after the header.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Type of service: DSCP and ECN.
    pub fn tos(&self) -> u8 {
        self.header[1]
    }

    /// True for every fragment of a packet: more fragments follow, or the offset is not 0.
    pub fn is_fragment(&self) -> bool {
        self.fragment_word() & (MORE_FRAGMENTS | OFFSET_MASK) != 0
    }

    fn fragment_word(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// True where more fragments of the same datagram follow.
    pub fn more_fragments(&self) -> bool {
        self.fragment_word() & MORE_FRAGMENTS != 0
    }

    /// Where the payload belongs in the payload of the whole datagram, in bytes.
    pub fn fragment_offset(&self) -> u32 {
        u32::from(self.fragment_word() & OFFSET_MASK) * 8
    }

    /// True where nobody may fragment the packet on its way.
    pub fn dont_fragment(&self) -> bool {
        self.fragment_word() & DONT_FRAGMENT != 0
    }

    /// What fragments of one datagram have in common.
    pub fn identification(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// Time to live.
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// The payload's protocol (IANA protocol numbers).
    pub fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// Source address.
    pub fn source(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.header[12], self.header[13], self.header[14], self.header[15])
    }

    /// Destination address.
    pub fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.header[16], self.header[17], self.header[18], self.header[19])
    }
}

/// The options of a header, each as a whole: its kind, its length and its data. The list ends with its
/// end mark (kind 0) or with a length that contradicts the header; padding (kind 1) is left out.
pub fn options(options: &[u8]) -> impl Iterator<Item = &[u8]> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    let mut rest = options;
    std::iter::from_fn(move || {
        while let Some((&NO_OPERATION, after)) = rest.split_first() {
            rest = after;
        }
        let size = match rest {
            [END, ..] | [] | [_] => return None,
            [_, size, ..] => usize::from(*size),
        };
        let (option, after) = rest.split_at_checked(size).filter(|_| size >= 2)?;
        rest = after;
        Some(option)
    })
}

/// The Router Alert option (RFC 2113): "router shall examine packet".
pub const ROUTER_ALERT: [u8; 4] = [0x94, 0x04, 0x00, 0x00];

/// The options among `bytes` that every fragment carries (the copied flag, RFC 791 section 3.1),
/// padded to whole words, at the start of the answer; with their length.
pub fn copied_options(bytes: &[u8]) -> ([u8; MAX_HEADER_LEN - HEADER_LEN], usize) {
    const COPIED: u8 = 0x80;
    let mut copied = [0; MAX_HEADER_LEN - HEADER_LEN];
    let mut len = 0;
    for option in options(bytes).filter(|option| option[0] & COPIED != 0) {
        if let Some(place) = copied.get_mut(len..len + option.len()) {
            place.copy_from_slice(option);
            len += option.len();
        }
    }
    (copied, len.next_multiple_of(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_options_with_the_copied_flag_go_on() {
        // Record route (7, not copied), no operation, router alert (0x94, copied), loose source
        // route (0x83, copied), end.
        let options = [7, 3, 4, 1, 0x94, 4, 0, 0, 0x83, 3, 4, 0];
        let (copied, len) = copied_options(&options);
        assert_eq!(copied[..len], [0x94, 4, 0, 0, 0x83, 3, 4, 0]);
        assert_eq!(copied_options(&[7, 4, 4, 0]).1, 0);
        assert_eq!(copied_options(&[0x94, 9, 0, 0]).1, 0, "longer than the header");
        assert_eq!(copied_options(&[0x94, 0, 0, 0]).1, 0, "no length");
        let full = [0x83; 40].map(|_| 0x82);
        let mut full = full;
        full[1] = 40;
        assert_eq!(copied_options(&full), (full, 40));
    }
}
