//! Control messages (cmsg(3)) as bytes: read from what the kernel wrote, and built for sends.

use std::net::Ipv4Addr;

/// `sizeof(struct cmsghdr)` on 64-bit Linux: length (8 bytes), level (4), type (4).
const HEADER_LEN: usize = 16;
const _: () = assert!(size_of::<libc::cmsghdr>() == HEADER_LEN, "64-bit Linux only");
/// `CMSG_ALIGN`: messages start at multiples of `size_t`.
const ALIGN: usize = 8;

/// Room for what a send carries: IP_PKTINFO (12 bytes), IP_TTL (4), IP_TOS (4) and UDP_SEGMENT (2),
/// each with its header.
pub const SEND_LEN: usize = WHOLE_LEN + 24;
/// What a send that is not cut into several datagrams carries: all but the last.
const WHOLE_LEN: usize = 32 + 24 + 24;
/// `UDP_SEGMENT` (linux/udp.h), Linux 4.18.
const UDP_SEGMENT: i32 = 103;

const SOL_IP: i32 = libc::IPPROTO_IP;

/// The messages in a control buffer, as (level, type, data). Stops at the first malformed one.
pub fn messages(mut control: &[u8]) -> impl Iterator<Item = (i32, i32, &[u8])> {
    std::iter::from_fn(move || {
        let header = control.get(..HEADER_LEN)?;
        let length = usize::from_ne_bytes(header[..8].try_into().ok()?);
        let level = i32::from_ne_bytes(header[8..12].try_into().ok()?);
        let kind = i32::from_ne_bytes(header[12..16].try_into().ok()?);
        let data = control.get(HEADER_LEN..length)?;
        let next = length.checked_next_multiple_of(ALIGN)?;
        control = control.get(next..).unwrap_or(&[]);
        Some((level, kind, data))
    })
}

/// The first `int` of a message's data.
pub fn int(data: &[u8]) -> Option<i32> {
    data.get(..4)?.try_into().ok().map(i32::from_ne_bytes)
}

/// Where a datagram goes out and what its IP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendOptions {
    /// `in_pktinfo.ipi_ifindex`; 0 = routing decides.
    pub oif: u32,
    /// `in_pktinfo.ipi_spec_dst`: our address; unspecified = the kernel chooses.
    pub source: Ipv4Addr,
    /// `IP_TTL`, 1 to 255.
    pub ttl: u8,
    /// `IP_TOS`.
    pub tos: u8,
}

/// Writes the control messages of a send, of one datagram or of several with so many payload bytes
/// each (0 = one); how many bytes they are.
#[inline]
pub fn write(options: &SendOptions, segment: u16, out: &mut [u8; SEND_LEN]) -> usize {
    let mut info = [0u8; 12];
    info[..4].copy_from_slice(&options.oif.to_ne_bytes());
    info[4..8].copy_from_slice(&options.source.octets());
    *out = [0; SEND_LEN];
    put(&mut out[..32], SOL_IP, libc::IP_PKTINFO, &info);
    put(&mut out[32..56], SOL_IP, libc::IP_TTL, &i32::from(options.ttl).to_ne_bytes());
    put(&mut out[56..WHOLE_LEN], SOL_IP, libc::IP_TOS, &i32::from(options.tos).to_ne_bytes());
    if segment == 0 {
        return WHOLE_LEN;
    }
    put(&mut out[WHOLE_LEN..], libc::SOL_UDP, UDP_SEGMENT, &segment.to_ne_bytes());
    SEND_LEN
}

/// Bytes of the control message of a raw socket's send: IP_PKTINFO only. It is the first of those
/// that [`write()`] writes.
pub const RAW_LEN: usize = 32;

/// Writes the control message of a raw socket's send: the interface (0 = routing decides).
#[inline]
pub fn write_interface(oif: u32, out: &mut [u8; SEND_LEN]) {
    let mut info = [0u8; 12];
    info[..4].copy_from_slice(&oif.to_ne_bytes());
    *out = [0; SEND_LEN];
    put(&mut out[..RAW_LEN], SOL_IP, libc::IP_PKTINFO, &info);
}

fn put(out: &mut [u8], level: i32, kind: i32, data: &[u8]) {
    out[..8].copy_from_slice(&(HEADER_LEN + data.len()).to_ne_bytes());
    out[8..12].copy_from_slice(&level.to_ne_bytes());
    out[12..16].copy_from_slice(&kind.to_ne_bytes());
    out[HEADER_LEN..HEADER_LEN + data.len()].copy_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut out = [0xff; SEND_LEN];
        let options =
            SendOptions { oif: 7, source: Ipv4Addr::new(10, 0, 0, 9), ttl: 16, tos: 0xb8 };
        let expected = [
            (0, 8, &[7, 0, 0, 0, 10, 0, 0, 9, 0, 0, 0, 0][..]),
            (0, 2, &[16, 0, 0, 0][..]),
            (0, 1, &[0xb8, 0, 0, 0][..]),
            (17, 103, &[0x78, 5][..]),
        ];
        for (segment, count) in [(0, 3), (1400, 4)] {
            let len = write(&options, segment, &mut out);
            let read: Vec<_> = messages(&out[..len]).collect();
            assert_eq!(read, expected[..count]);
        }
    }

    #[test]
    fn malformed_control_data_ends_the_walk() {
        assert_eq!(messages(&[0; 15]).count(), 0);
        assert_eq!(messages(&[0; 16]).count(), 0, "a length below the header");
        let mut long = [0u8; 24];
        long[0] = 25;
        assert_eq!(messages(&long).count(), 0, "a length beyond the buffer");
        let huge = [0xffu8; 32];
        assert_eq!(messages(&huge).count(), 0, "a length that overflows");
    }
}
