//! What arrived at all outputs, by the beginnings of frames.

use super::payload::Stamp;
use super::tally::Tally;
use hdrhistogram::Histogram;
use mcr::sys::capture_ring::Seen;
use std::collections::VecDeque;

/// `VIRTIO_NET_HDR_GSO_UDP_L4`.
const GSO_UDP_L4: u8 = 5;
/// Ethernet, IPv4 without options, UDP.
const HEADERS: usize = 14 + 20 + 8;
/// Nanoseconds within which datagrams are counted together.
const WINDOW: u64 = 100_000;

/// The most datagrams that came within any 100 us.
#[derive(Default)]
pub(crate) struct Window {
    /// When, and how many, of the last 100 us.
    recent: VecDeque<(u64, u64)>,
    within: u64,
    pub(crate) most: u64,
}

impl Window {
    /// So many came at this time, in the order of time.
    pub(crate) fn came(&mut self, at: u64, count: u64) {
        while let Some(&(first, gone)) = self.recent.front()
            && at.saturating_sub(first) >= WINDOW
        {
            self.within -= gone;
            self.recent.pop_front();
        }
        self.recent.push_back((at, count));
        self.within += count;
        self.most = self.most.max(self.within);
    }
}

/// What came.
pub(crate) struct Arrivals {
    /// One for each output and flow, flow by flow.
    pub(crate) tallies: Vec<Tally>,
    flows: usize,
    /// Frames, super-frames counted once.
    pub(crate) frames: u64,
    /// Those with several datagrams.
    pub(crate) super_frames: u64,
    /// Datagrams of the longest.
    pub(crate) longest_frame: u64,
    /// How close together they came, at the first output.
    pub(crate) window: Window,
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
            longest_frame: 0,
            window: Window::default(),
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
        self.longest_frame = self.longest_frame.max(count);
        if output == 0 {
            self.window.came(seen.at, count);
        }
        if !right {
            self.wrong_size += count;
        }
        self.tallies[output * self.flows + stamp.flow as usize].came(stamp.sequence, count);
        let arrived = seen.at.saturating_sub(real);
        let latency = arrived.saturating_sub(stamp.sent_at).max(1);
        self.latency.saturating_record_n(latency, count);
    }
}
