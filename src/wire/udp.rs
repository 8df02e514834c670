//! The UDP header (RFC 768).

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// The IP protocol number.
pub const PROTOCOL: u8 = 17;

/// A datagram whose length field agrees with the bytes at hand.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    segment: &'a [u8],
}

impl<'a> Udp<'a> {
    /// None where the length field is smaller than the header or larger than the bytes at hand. A
    /// smaller length than the IP payload is legal: the rest is ignored.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::from(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]));
        if length < HEADER_LEN {
            return None;
        }
        bytes.get(..length).map(|segment| Self { segment })
    }

    /// Header and payload.
    pub fn segment(&self) -> &'a [u8] {
        self.segment
    }

    /// The payload.
    pub fn payload(&self) -> &'a [u8] {
        &self.segment[HEADER_LEN..]
    }

    /// Source port; 0 = none.
    pub fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.segment[0], self.segment[1]])
    }

    /// The checksum field; 0 = the sender computed none.
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.segment[6], self.segment[7]])
    }

    /// Destination port.
    pub fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.segment[2], self.segment[3]])
    }
}
