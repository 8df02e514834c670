//! What workers count. Plain numbers: each worker has its own and sends copies when asked.

use super::{OutputSlot, RuleSlot};
use crate::types::DropReason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Named drops; written as a map of those that are not zero.
///
/// Indexed by [`DropReason`]. There is nothing until the first drop is counted: nearly all outputs
/// never drop anything, and there may be a million of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<DropReason, u64>", into = "BTreeMap<DropReason, u64>")]
pub struct DropCounts(Option<Box<[u64; DropReason::COUNT]>>);

impl PartialEq for DropCounts {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for DropCounts {}

impl From<BTreeMap<DropReason, u64>> for DropCounts {
    fn from(map: BTreeMap<DropReason, u64>) -> Self {
        let mut counts = Self::default();
        map.into_iter().for_each(|(reason, n)| counts.add(reason, n));
        counts
    }
}

impl From<DropCounts> for BTreeMap<DropReason, u64> {
    fn from(counts: DropCounts) -> Self {
        counts.iter().collect()
    }
}

impl DropCounts {
    /// Counts `n` more.
    #[inline]
    pub fn add(&mut self, reason: DropReason, n: u64) {
        if n > 0 {
            self.0.get_or_insert_with(|| Box::new([0; DropReason::COUNT]))[reason as usize] += n;
        }
    }

    /// How many.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts[reason as usize])
    }

    /// All that are not zero.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.get(reason))).filter(|&(_, n)| n != 0)
    }

    /// Adds another set of counts.
    pub fn merge(&mut self, other: &Self) {
        for (reason, n) in other.iter() {
            self.add(reason, n);
        }
    }
}

/// One input socket: frames until decoded, datagrams from then on.
///
/// Every frame is in one place: `frames = whole + joined + held + drops` of the stages
/// [`Port`](crate::types::DropStage::Port) and [`Frame`](crate::types::DropStage::Frame). Every
/// datagram is too: `datagrams = matched + drops` of the stage
/// [`Lookup`](crate::types::DropStage::Lookup).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounters {
    /// Frames taken from the kernel.
    pub frames: u64,
    /// Of those, frames with several datagrams.
    pub super_frames: u64,
    /// Of those, frames whose UDP checksum was still to be filled in.
    pub partial_checksums: u64,
    /// Frames that were decoded by themselves: one datagram, or several of a super-frame.
    pub whole: u64,
    /// Fragments that became part of a datagram that was whole and decoded.
    pub joined: u64,
    /// Fragments that wait for the rest of their datagram now.
    pub held: u64,
    /// Datagrams in the frames that could be decoded; one that came in fragments is one.
    pub datagrams: u64,
    /// Datagrams that some rule matched.
    pub matched: u64,
    /// Frames that could not be decoded, and datagrams that no rule got.
    pub drops: DropCounts,
    /// Frames that the kernel queued or dropped at the socket; of a UDP socket those that it dropped,
    /// as it counts no others.
    pub kernel_received: u64,
    /// Of those, frames that it dropped because the socket's buffer was full.
    pub kernel_dropped: u64,
}

impl PortCounters {
    /// Adds what another port counted.
    pub fn merge(&mut self, other: &Self) {
        self.frames += other.frames;
        self.super_frames += other.super_frames;
        self.partial_checksums += other.partial_checksums;
        self.whole += other.whole;
        self.joined += other.joined;
        self.held += other.held;
        self.datagrams += other.datagrams;
        self.matched += other.matched;
        self.drops.merge(&other.drops);
        self.kernel_received += other.kernel_received;
        self.kernel_dropped += other.kernel_dropped;
    }
}

/// One rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounters {
    /// Datagrams that matched.
    pub datagrams: u64,
    /// Their UDP payload bytes.
    pub bytes: u64,
}

/// One output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputCounters {
    /// Copies to be made.
    pub wanted: u64,
    /// Copies that the kernel took.
    pub sent: u64,
    /// Their UDP payload bytes.
    pub bytes: u64,
    /// Copies that were not sent.
    pub drops: DropCounts,
}

/// A worker's own doings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCounters {
    /// Rounds of the loop.
    pub turns: u64,
    /// Frames taken.
    pub frames: u64,
    /// Copies handed to the kernel.
    pub sends: u64,
    /// Sockets to send from.
    pub egress_sockets: u32,
    /// Egress sockets closed to make room.
    pub egress_evictions: u64,
    /// Times that all receive buffers were in use.
    pub buffers_exhausted: u64,
    /// Completions that belonged to nothing.
    pub stale_completions: u64,
}

/// Everything that one worker counted by rule and output, by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotCounters {
    /// By [`RuleSlot`].
    pub rules: Vec<RuleCounters>,
    /// By [`OutputSlot`].
    pub outputs: Vec<OutputCounters>,
}

impl SlotCounters {
    /// Adds what another worker counted, slot by slot.
    pub fn merge(&mut self, other: &Self) {
        self.grow(
            u32::try_from(other.rules.len()).unwrap_or(u32::MAX),
            u32::try_from(other.outputs.len()).unwrap_or(u32::MAX),
        );
        for (ours, theirs) in self.rules.iter_mut().zip(&other.rules) {
            ours.datagrams += theirs.datagrams;
            ours.bytes += theirs.bytes;
        }
        for (ours, theirs) in self.outputs.iter_mut().zip(&other.outputs) {
            ours.wanted += theirs.wanted;
            ours.sent += theirs.sent;
            ours.bytes += theirs.bytes;
            ours.drops.merge(&theirs.drops);
        }
    }

    /// Makes room for slots below these numbers; never shrinks.
    pub fn grow(&mut self, rules: u32, outputs: u32) {
        let (rules, outputs) = (rules as usize, outputs as usize);
        if self.rules.len() < rules {
            self.rules.resize(rules, RuleCounters::default());
        }
        if self.outputs.len() < outputs {
            self.outputs.resize(outputs, OutputCounters::default());
        }
    }

    /// Sets slots that get a new owner back to zero.
    pub fn reset(&mut self, rules: &[RuleSlot], outputs: &[OutputSlot]) {
        for slot in rules {
            if let Some(counters) = self.rules.get_mut(slot.0 as usize) {
                *counters = RuleCounters::default();
            }
        }
        for slot in outputs {
            if let Some(counters) = self.outputs.get_mut(slot.0 as usize) {
                *counters = OutputCounters::default();
            }
        }
    }
}
