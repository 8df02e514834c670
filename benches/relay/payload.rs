//! What a datagram of the benchmark carries: who it is and when it was sent, then a pattern.

/// Bytes of [`Stamp`] at the start of each payload, and so the shortest payload.
pub(crate) const STAMP_LEN: usize = 24;
/// How a payload of ours starts.
const MAGIC: [u8; 4] = *b"mcrB";

/// The beginning of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The flow: 0, 1, …
    pub(crate) flow: u32,
    /// Counts from 0 in each flow.
    pub(crate) sequence: u64,
    /// When its burst was about to be sent, nanoseconds of CLOCK_MONOTONIC.
    pub(crate) sent_at: u64,
}

impl Stamp {
    /// As it is sent, in network order.
    pub(crate) fn bytes(&self) -> [u8; STAMP_LEN] {
        let mut bytes = [0; STAMP_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.flow.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..].copy_from_slice(&self.sent_at.to_be_bytes());
        bytes
    }

    /// Of a received payload; none where it is not ours.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let bytes = payload.get(..STAMP_LEN)?;
        let long = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let flow = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
        let stamp = Self { flow, sequence: long(8)?, sent_at: long(16)? };
        (bytes[..4] == MAGIC).then_some(stamp)
    }
}

/// The byte at `at` of every payload, behind the stamp.
pub(crate) const fn pattern(at: usize) -> u8 {
    (at.wrapping_mul(7) ^ (at >> 8)) as u8
}

/// A payload of so many bytes whose stamp is still to be written.
pub(crate) fn blank(len: usize) -> Vec<u8> {
    (0..len).map(pattern).collect()
}

/// True where everything behind the stamp is as it was sent.
pub(crate) fn is_intact(payload: &[u8]) -> bool {
    payload.iter().enumerate().skip(STAMP_LEN).all(|(at, &byte)| byte == pattern(at))
}
