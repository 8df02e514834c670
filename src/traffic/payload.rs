//! The test datagram: what `mcrgen send` writes and `mcrgen recv` verifies. Pure.
//!
//! All numbers are big-endian. The UDP payload is:
//!
//! ```text
//! offset  bytes  field
//!      0      4  magic "MCRG"
//!      4      1  version, 1
//!      5      1  reserved, 0
//!      6      2  length of the whole UDP payload, header included
//!      8      4  stream id: one run of one sender
//!     12      4  index: which of the sender's groups, from 0
//!     16      8  sequence within (stream id, index), from 0
//!     24      8  send time, CLOCK_REALTIME in ns since 1970
//!     32      8  checksum over all other bytes of the payload
//!     40      …  body: pseudo-random bytes from seed, stream id, index and sequence
//! ```
//!
//! The body differs from datagram to datagram, so that bytes of a wrong datagram do not pass for the
//! right ones. The checksum takes 64-bit words one after the other and mixes after each: it depends
//! on the order of bytes, and a change inside one word can never cancel itself out.

/// Bytes before the body; the smallest payload that can be sent.
pub const HEADER_LEN: usize = 40;

/// The largest UDP payload in an IPv4 packet without options: 65,535 − 20 − 8.
pub const MAX_LEN: usize = 65_507;

const MAGIC: [u8; 4] = *b"MCRG";
const VERSION: u8 = 1;
const CHECKSUM_AT: usize = 32;

/// What identifies one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// One run of one sender.
    pub stream: u32,
    /// Which of the sender's groups, from 0.
    pub index: u32,
    /// Position within (stream, index), from 0.
    pub sequence: u64,
    /// `CLOCK_REALTIME` at the sender, ns since 1970.
    pub sent_at: u64,
}

/// The answer of [`decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exactly as a sender wrote it.
    Intact(Header),
    /// A sender's datagram, but changed: wrong version, length or checksum, or damaged magic.
    Corrupted,
    /// Not a test datagram.
    Foreign,
}

/// A payload length outside [`HEADER_LEN`]`..=`[`MAX_LEN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payload has {HEADER_LEN} to {MAX_LEN} bytes, not {0}")]
pub struct LengthError(pub usize);

/// Fills `payload` (its length is the length of the datagram) with header and body.
///
/// # Errors
/// Where the length of `payload` is none that a datagram can have.
pub fn encode(header: &Header, seed: u64, payload: &mut [u8]) -> Result<(), LengthError> {
    let length = payload.len();
    if !(HEADER_LEN..=MAX_LEN).contains(&length) {
        return Err(LengthError(length));
    }
    let encoded_length = u16::try_from(length).map_err(|_| LengthError(length))?;
    payload[..4].copy_from_slice(&MAGIC);
    payload[4] = VERSION;
    payload[5] = 0;
    payload[6..8].copy_from_slice(&encoded_length.to_be_bytes());
    payload[8..12].copy_from_slice(&header.stream.to_be_bytes());
    payload[12..16].copy_from_slice(&header.index.to_be_bytes());
    payload[16..24].copy_from_slice(&header.sequence.to_be_bytes());
    payload[24..32].copy_from_slice(&header.sent_at.to_be_bytes());
    let flow = u64::from(header.stream) << 32 | u64::from(header.index);
    let mut random = SplitMix64::new(mix(seed ^ mix(flow)) ^ header.sequence);
    let (words, rest) = payload[HEADER_LEN..].as_chunks_mut::<8>();
    for word in words {
        *word = random.next_u64().to_be_bytes();
    }
    rest.copy_from_slice(&random.next_u64().to_be_bytes()[..rest.len()]);
    let sum = checksum(MAGIC, payload);
    payload[CHECKSUM_AT..HEADER_LEN].copy_from_slice(&sum.to_be_bytes());
    Ok(())
}

/// Says whether `payload` is a test datagram and whether it is as the sender wrote it.
pub fn decode(payload: &[u8]) -> Verdict {
    let ours = payload.starts_with(&MAGIC);
    if payload.len() < HEADER_LEN {
        return if ours { Verdict::Corrupted } else { Verdict::Foreign };
    }
    let sound = checksum(MAGIC, payload) == u64_at(payload, CHECKSUM_AT);
    if !ours {
        // Everything but the magic fits: the magic is what was damaged.
        return if sound { Verdict::Corrupted } else { Verdict::Foreign };
    }
    let length = usize::from(u16::from_be_bytes([payload[6], payload[7]]));
    if !sound || payload[4] != VERSION || length != payload.len() {
        return Verdict::Corrupted;
    }
    claimed_header(payload).map_or(Verdict::Corrupted, Verdict::Intact)
}

/// What the header says, whether it is damaged or not; `None` where it is cut off.
pub fn claimed_header(payload: &[u8]) -> Option<Header> {
    (payload.len() >= HEADER_LEN).then(|| {
        let flow = u64_at(payload, 8);
        Header {
            stream: (flow >> 32) as u32,
            index: flow as u32,
            sequence: u64_at(payload, 16),
            sent_at: u64_at(payload, 24),
        }
    })
}

/// Checksum of `payload` as if it began with `magic`, the checksum field left out. The caller has
/// seen that the header is complete.
fn checksum(magic: [u8; 4], payload: &[u8]) -> u64 {
    let mut first = [0; 8];
    first[..4].copy_from_slice(&magic);
    first[4..].copy_from_slice(&payload[4..8]);
    let mut sum = absorb(payload.len() as u64, u64::from_be_bytes(first));
    for word in payload[8..CHECKSUM_AT].chunks_exact(8) {
        sum = absorb(sum, u64_at(word, 0));
    }
    let (words, rest) = payload[HEADER_LEN..].as_chunks::<8>();
    for word in words {
        sum = absorb(sum, u64::from_be_bytes(*word));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        sum = absorb(sum, u64::from_be_bytes(last));
    }
    mix(sum)
}

/// One step of the checksum. Bijective in `sum` and in `word`; the shift carries high bits down,
/// without it two changes of bit 63 would cancel out.
fn absorb(sum: u64, word: u64) -> u64 {
    let product = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(word)
}

/// A small seeded generator (SplitMix64: a counter, and `mix`); not for secrets.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator whose whole sequence follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from `min` to `max`, both included; `min` where the range is empty.
    pub fn between(&mut self, min: usize, max: usize) -> usize {
        let Some(width) = max.checked_sub(min) else { return min };
        min + (self.next_u64() % (width as u64).saturating_add(1)) as usize
    }
}

/// The finishing step of SplitMix64.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn datagram(length: usize) -> Vec<u8> {
        let mut payload = vec![0; length];
        let header = Header { stream: 7, index: 3, sequence: 99, sent_at: 1_700_000_000 };
        encode(&header, 42, &mut payload).expect("a length that is allowed");
        payload
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let payload = datagram(50);
        assert_eq!(payload[..8], *b"MCRG\x01\x00\x00\x32");
        assert_eq!(payload[8..24], [0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 99]);
        assert_eq!(payload[24..32], 1_700_000_000u64.to_be_bytes());
    }

    #[test]
    fn lengths_outside_the_range_are_refused() {
        let header = Header { stream: 0, index: 0, sequence: 0, sent_at: 0 };
        assert_eq!(encode(&header, 0, &mut [0; 39]), Err(LengthError(39)));
        assert_eq!(encode(&header, 0, &mut vec![0; 65_508]), Err(LengthError(65_508)));
        assert_eq!(encode(&header, 0, &mut [0; 40]), Ok(()));
        assert_eq!(encode(&header, 0, &mut vec![0; 65_507]), Ok(()));
    }

    #[test]
    fn what_no_sender_wrote_is_foreign() {
        assert_eq!(decode(b""), Verdict::Foreign);
        assert_eq!(decode(&[0; 1400]), Verdict::Foreign);
        assert_eq!(decode(b"\x47 an MPEG-TS packet, say, that is longer than the header"), {
            Verdict::Foreign
        });
    }

    #[test]
    fn bodies_differ_by_sequence_and_by_seed() {
        let body = |sequence, seed| {
            let mut payload = [0; 64];
            let header = Header { stream: 1, index: 0, sequence, sent_at: 5 };
            encode(&header, seed, &mut payload).expect("64 bytes are enough");
            payload[HEADER_LEN..].to_vec()
        };
        assert_ne!(body(0, 1), body(1, 1));
        assert_ne!(body(0, 1), body(0, 2));
        assert_eq!(body(0, 1), body(0, 1));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            stream: u32, index: u32, sequence: u64, sent_at: u64, seed: u64,
            length in HEADER_LEN..2000,
        ) {
            let header = Header { stream, index, sequence, sent_at };
            let mut payload = vec![0; length];
            encode(&header, seed, &mut payload).expect("a length that is allowed");
            prop_assert_eq!(decode(&payload), Verdict::Intact(header));
        }

        #[test]
        fn every_flipped_bit_is_seen(length in HEADER_LEN..300, at: prop::sample::Index, bit in 0u8..8) {
            let mut payload = datagram(length);
            payload[at.index(length)] ^= 1 << bit;
            prop_assert_eq!(decode(&payload), Verdict::Corrupted);
        }

        #[test]
        fn swapped_bytes_are_seen(
            length in HEADER_LEN + 16..300, a: prop::sample::Index, b: prop::sample::Index,
        ) {
            let mut payload = datagram(length);
            let (a, b) = (a.index(length), b.index(length));
            prop_assume!(payload[a] != payload[b]);
            payload.swap(a, b);
            // Both the magic and something else changed: nothing marks it as ours any more.
            let expected = if a.min(b) < 4 && a.max(b) >= 4 { Verdict::Foreign } else { Verdict::Corrupted };
            prop_assert_eq!(decode(&payload), expected);
        }

        #[test]
        fn bit_63_flipped_in_two_words_is_seen(a in 5usize..30, b in 5usize..30) {
            prop_assume!(a != b);
            let mut payload = datagram(240);
            payload[a * 8] ^= 0x80;
            payload[b * 8] ^= 0x80;
            prop_assert_eq!(decode(&payload), Verdict::Corrupted);
        }

        #[test]
        fn cut_and_lengthened_datagrams_are_seen(length in HEADER_LEN..300, other in 4usize..400) {
            prop_assume!(length != other);
            let mut payload = datagram(length);
            payload.resize(other, 0);
            prop_assert_eq!(decode(&payload), Verdict::Corrupted);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!matches!(decode(&bytes), Verdict::Intact(_)));
        }

        #[test]
        fn between_stays_between(seed: u64, min in 0usize..100, width in 0usize..100) {
            let value = SplitMix64::new(seed).between(min, min + width);
            prop_assert!((min..=min + width).contains(&value));
        }
    }
}
