//! What arrived at all outputs, by the beginnings of frames.

use super::payload::Stamp;
use super::tally::Tally;
use hdrhistogram::Histogram;
use mcr::sys::ring::Seen;

/// `VIRTIO_NET_HDR_GSO_UDP_L4`.
const GSO_UDP_L4: u8 = 5;
/// Ethernet, IPv4 without options, UDP.
const HEADERS: usize = 14 + 20 + 8;
/// What came.
pub(crate) struct Arrivals {
    /// One for each output and flow, flow by flow.
    pub(crate) tallies: Vec<Tally>,
    flows: usize,
    /// Frames, super-frames counted once.
    pub(crate) frames: u64,
    /// Those with several datagrams.
    pub(crate) super_frames: u64,
    /// Datagrams of another size than was sent.
    pub(crate) wrong_size: u64,
    /// Datagrams that are none of ours, or of a flow or output that is not in use.
    pub(crate) foreign: u64,
    /// Frames that the tap missed: the trial says nothing about the relay.
    pub(crate) missed: u64,
    /// From the sender's clock to the arrival, nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Run time of the sink's thread, nanoseconds.
    pub(crate) cpu: u64,
}

impl Arrivals {
    /// Nothing yet.
    pub(crate) fn new(outputs: usize, flows: usize) -> Self {
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds");
        Self {
            tallies: vec![Tally::default(); outputs * flows],
            flows,
            frames: 0,
            super_frames: 0,
            wrong_size: 0,
            foreign: 0,
            missed: 0,
            latency,
            cpu: 0,
        }
    }

    /// The tallies of one output.
    pub(crate) fn output(&self, number: usize) -> &[Tally] {
        &self.tallies[number * self.flows..(number + 1) * self.flows]
    }

    /// A frame came at an output; `real` is what the kernel's clock is ahead of ours.
    pub(crate) fn frame(&mut self, seen: &Seen<'_>, output: Option<usize>, size: usize, real: u64) {
        self.frames += 1;
        let stamp = seen.head.get(HEADERS..).and_then(Stamp::read);
        let (Some(stamp), Some(output)) = (stamp, output) else {
            self.foreign += 1;
            return;
        };
        if stamp.flow as usize >= self.flows {
            self.foreign += 1;
            return;
        }
        let bytes = (seen.len as usize).saturating_sub(HEADERS);
        let segment = usize::from(u16::from_ne_bytes([seen.vnet[4], seen.vnet[5]]));
        let joined = seen.vnet[1] == GSO_UDP_L4 && segment > 0;
        let (count, right) = if joined {
            self.super_frames += 1;
            (bytes.div_ceil(segment) as u64, segment == size && bytes.is_multiple_of(segment))
        } else {
            (1, bytes == size)
        };
        if !right {
            self.wrong_size += count;
        }
        self.tallies[output * self.flows + stamp.flow as usize].came(stamp.sequence, count);
        let arrived = seen.at.saturating_sub(real);
        let latency = arrived.saturating_sub(stamp.sent_at).max(1);
        self.latency.saturating_record_n(latency, count);
    }
}
