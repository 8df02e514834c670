//! How much and how bunched an output sends.

use super::super::diagnose::Findings;
use super::super::path::Path;
use super::super::v1::{BitRate, RateLimit};
use crate::types::{Limit, MAX_BURST};
use std::num::NonZeroU8;

/// Checks the rate limit at `at`. None where something is wrong; then it was reported.
pub(super) fn limit(spec: &RateLimit, at: &Path, findings: &mut Findings) -> Option<Limit> {
    let before = findings.len();
    let bits_per_second = spec.bits_per_second.as_ref().map(|BitRate(bits)| *bits);
    let (bits, packets) = (at.key("bitsPerSecond"), at.key("packetsPerSecond"));
    if bits_per_second == Some(0) {
        findings.report(&bits, "must be a whole number of 1 or more, not 0");
    }
    if spec.packets_per_second == Some(0) {
        let message = "must be a whole number of 1 or more, not 0; enabled: false stops a rule";
        findings.report(&packets, message);
    }
    // What was unreadable was reported, and is given.
    let read = !findings.has(&bits) && !findings.has(&packets);
    if let Some(bytes) = spec.burst_bytes {
        let key = at.key("burstBytes");
        let (least, most) = (Limit::MIN_BURST_BYTES, Limit::MAX_BURST_BYTES);
        if bytes < least {
            let message = format!(
                "must be at least {least}, not {bytes}: datagrams that came as one super-frame are \
                 sent or dropped as one, and a smaller burst would never let a large one pass"
            );
            findings.report(&key, message);
        } else if bytes > most {
            findings.report(&key, format!("must be at most {most}, not {bytes}"));
        } else if bits_per_second.is_none() && spec.packets_per_second.is_some() && read {
            let message = "goes with bitsPerSecond; remove it or give bitsPerSecond";
            findings.report(&key, message);
        }
    }
    if bits_per_second.is_none()
        && spec.packets_per_second.is_none()
        && read
        && findings.len() == before
    {
        let message = "says no rate; give bitsPerSecond, such as \"3G\", or packetsPerSecond";
        findings.report(at, message);
    }
    let usual = Limit::default_burst_bytes(bits_per_second);
    (findings.len() == before).then_some(Limit {
        bits_per_second,
        packets_per_second: spec.packets_per_second,
        burst_bytes: spec.burst_bytes.unwrap_or(usual),
    })
}

/// Checks the longest train at `at`. None where it is wrong; then it was reported.
pub(super) fn burst(given: u32, at: &Path, findings: &mut Findings) -> Option<NonZeroU8> {
    let burst = u8::try_from(given).ok().filter(|burst| *burst <= MAX_BURST);
    let burst = burst.and_then(NonZeroU8::new);
    if burst.is_none() {
        let message = format!(
            "must be a whole number from 1 to {MAX_BURST}, not {given}: datagrams that leave as one \
             train at most; remove it for no limit"
        );
        findings.report(at, message);
    }
    burst
}
