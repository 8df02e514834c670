//! The lists in version 3 messages, looked at where they lie.

use super::RECORD_LEN;
use std::net::Ipv4Addr;

/// Source addresses, as they lie in a message. They may be any addresses, and more than once the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources<'a>(&'a [[u8; 4]]);

impl<'a> Sources<'a> {
    /// The first `count` addresses of `bytes`, and the bytes behind them; none where there are fewer.
    pub(super) fn split(bytes: &'a [u8], count: u16) -> Option<(Self, &'a [u8])> {
        let (addresses, rest) = bytes.split_at_checked(usize::from(count) * 4)?;
        Some((Self(addresses.as_chunks().0), rest))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, in the order of the message.
    pub fn iter(&self) -> SourceIter<'a> {
        SourceIter(self.0.iter())
    }
}

impl<'a> IntoIterator for Sources<'a> {
    type Item = Ipv4Addr;
    type IntoIter = SourceIter<'a>;

    fn into_iter(self) -> SourceIter<'a> {
        self.iter()
    }
}

/// Goes through [`Sources`].
#[derive(Clone, Debug)]
pub struct SourceIter<'a>(std::slice::Iter<'a, [u8; 4]>);

impl Iterator for SourceIter<'_> {
    type Item = Ipv4Addr;

    fn next(&mut self) -> Option<Ipv4Addr> {
        self.0.next().copied().map(Ipv4Addr::from)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for SourceIter<'_> {}

/// What a group record says (RFC 9776 section 4.2, "Group Record Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// MODE_IS_INCLUDE: these sources are wanted, as before.
    IsIn = 1,
    /// MODE_IS_EXCLUDE: all but these sources are wanted, as before.
    IsEx = 2,
    /// CHANGE_TO_INCLUDE_MODE: only these sources are wanted from now on; without any, a leave.
    ToIn = 3,
    /// CHANGE_TO_EXCLUDE_MODE: all but these sources are wanted from now on; without any, a join.
    ToEx = 4,
    /// ALLOW_NEW_SOURCES: these sources are wanted too.
    Allow = 5,
    /// BLOCK_OLD_SOURCES: these sources are no longer wanted.
    Block = 6,
}

impl RecordKind {
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::IsIn,
            2 => Self::IsEx,
            3 => Self::ToIn,
            4 => Self::ToEx,
            5 => Self::Allow,
            6 => Self::Block,
            _ => return None,
        })
    }
}

/// What a host says of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says.
    pub kind: RecordKind,
    /// The group, a multicast address.
    pub group: Ipv4Addr,
    /// The sources it is about.
    pub sources: Sources<'a>,
}

/// The records of a report, all of which lie in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records<'a> {
    bytes: &'a [u8],
    count: u16,
    skipped: u16,
}

impl<'a> Records<'a> {
    /// The first `count` records of `bytes`; none where there are fewer. What lies behind them is additional
    /// data, which is ignored.
    pub(super) fn new(bytes: &'a [u8], count: u16) -> Option<Self> {
        let mut rest = bytes;
        let mut skipped = 0;
        for _ in 0..count {
            let (record, after) = split(rest)?;
            skipped += u16::from(record.is_none());
            rest = after;
        }
        Some(Self { bytes: &bytes[..bytes.len() - rest.len()], count, skipped })
    }

    /// How many records are gone through.
    pub fn len(&self) -> usize {
        usize::from(self.count - self.skipped)
    }

    /// True where no record is gone through.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records are left out: of unknown kinds, or for what is no multicast address.
    pub fn skipped(&self) -> usize {
        usize::from(self.skipped)
    }

    /// Each that is not left out, in the order of the report.
    pub fn iter(&self) -> RecordIter<'a> {
        RecordIter(self.bytes)
    }
}

impl<'a> IntoIterator for Records<'a> {
    type Item = Record<'a>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Goes through [`Records`].
#[derive(Clone, Debug)]
pub struct RecordIter<'a>(&'a [u8]);

impl<'a> Iterator for RecordIter<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let (record, rest) = split(self.0)?;
            self.0 = rest;
            if record.is_some() {
                return record;
            }
        }
    }
}

/// The first record of `bytes`, and the bytes behind it and its auxiliary data; none where it is longer than
/// they are. A record that is to be left out is none.
fn split(bytes: &[u8]) -> Option<(Option<Record<'_>>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<RECORD_LEN>()?;
    let [kind, auxiliary_words, count_high, count_low, group @ ..] = *header;
    let count = u16::from_be_bytes([count_high, count_low]);
    let (sources, rest) = Sources::split(rest, count)?;
    let rest = rest.get(usize::from(auxiliary_words) * 4..)?;
    let group = Ipv4Addr::from(group);
    let kind = RecordKind::of(kind).filter(|_| group.is_multicast());
    Some((kind.map(|kind| Record { kind, group, sources }), rest))
}
