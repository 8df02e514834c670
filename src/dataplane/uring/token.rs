//! What a submission carries as `user_data`, so that its completion finds its owner.

/// What was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Wake,
    Receive,
    Send,
    Cancel,
}

/// Kind, generation (28 bits) and index (32 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) generation: u32,
    pub(super) index: u32,
}

const GENERATION_MASK: u32 = 0x0fff_ffff;

impl Token {
    pub(super) const fn new(kind: Kind, generation: u32, index: u32) -> Self {
        Self { kind, generation: generation & GENERATION_MASK, index }
    }

    /// The generation after `generation`; wraps after 2^28 owners of one place.
    pub(super) const fn next_generation(generation: u32) -> u32 {
        generation.wrapping_add(1) & GENERATION_MASK
    }

    pub(super) const fn encode(self) -> u64 {
        let kind = match self.kind {
            Kind::Wake => 1,
            Kind::Receive => 2,
            Kind::Send => 3,
            Kind::Cancel => 4,
        };
        kind << 60 | (self.generation as u64) << 32 | self.index as u64
    }

    pub(super) const fn decode(token: u64) -> Option<Self> {
        let kind = match token >> 60 {
            1 => Kind::Wake,
            2 => Kind::Receive,
            3 => Kind::Send,
            4 => Kind::Cancel,
            _ => return None,
        };
        let generation = (token >> 32) as u32 & GENERATION_MASK;
        Some(Self { kind, generation, index: token as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_decodes(generation in 0..=GENERATION_MASK, index in any::<u32>(), kind in 0usize..4) {
            let kind = [Kind::Wake, Kind::Receive, Kind::Send, Kind::Cancel][kind];
            let token = Token::new(kind, generation, index);
            prop_assert_eq!(Token::decode(token.encode()), Some(token));
        }
    }

    #[test]
    fn zero_is_no_token() {
        assert_eq!(Token::decode(0), None);
        assert_eq!(Token::next_generation(GENERATION_MASK), 0);
    }
}
