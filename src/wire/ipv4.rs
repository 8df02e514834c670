//! The IPv4 header (RFC 791 section 3.1).

use std::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

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
        u16::from_be_bytes([self.header[6], self.header[7]]) & 0x3fff != 0
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
