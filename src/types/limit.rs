//! The most that an output sends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most that an output sends, over all of its interfaces and workers. At least one rate is
/// given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// Bits of UDP payload per second, at least 1; none = as many as come.
    #[serde(default)]
    pub bits_per_second: Option<u64>,
    /// Datagrams per second, at least 1; none = as many as come.
    #[serde(default)]
    pub packets_per_second: Option<u64>,
    /// Bytes of payload that may be sent at once after a pause, [`Self::MIN_BURST_BYTES`] to
    /// [`Self::MAX_BURST_BYTES`].
    pub burst_bytes: u64,
}

impl Limit {
    /// The largest super-frame: it is sent whole or not at all, so it must be able to pass.
    pub const MIN_BURST_BYTES: u64 = 65_536;
    /// 1 GiB.
    pub const MAX_BURST_BYTES: u64 = 1 << 30;
    /// Datagrams that the largest super-frame holds (UDP_MAX_SEGMENTS of linux/udp.h is 64, since
    /// Linux 6.9 128).
    pub const MIN_BURST_PACKETS: u64 = 128;

    /// The burst of a limit that says none: 100 ms of the rate, within the bounds.
    pub fn default_burst_bytes(bits_per_second: Option<u64>) -> u64 {
        (bits_per_second.unwrap_or(0) / 80).clamp(Self::MIN_BURST_BYTES, Self::MAX_BURST_BYTES)
    }

    /// Datagrams that may be sent at once after a pause: 100 ms of the rate, at least
    /// [`Self::MIN_BURST_PACKETS`].
    pub fn burst_packets(packets_per_second: u64) -> u64 {
        (packets_per_second / 10).max(Self::MIN_BURST_PACKETS)
    }
}
