//! The UDP ports that a rule takes.

use super::super::diagnose::Findings;
use super::super::path::Path;
use super::super::v1::{self, InputSpec};
use super::port_number;
use crate::types::PortRange;

/// How many entries `ports` may have.
const MAX_RANGES: usize = 64;

/// Checks `port` and `ports` of the input at `at`: in ascending order, with what overlaps or adjoins
/// in one range; empty = every port. None where something is wrong; then it was reported.
pub(super) fn ports(
    spec: &InputSpec,
    at: &Path,
    findings: &mut Findings,
) -> Option<Vec<PortRange>> {
    let long = || at.key("ports");
    match (spec.port, spec.ports.as_deref()) {
        (Some(_), Some(_)) => {
            findings.report(&long(), "give port or ports, not both");
            None
        }
        (None, None) => Some(Vec::new()),
        (port, None) => {
            let port = port_number(port, &at.key("port"), findings)?;
            Some(port.map(PortRange::one).into_iter().collect())
        }
        (None, Some(several)) if several.len() > MAX_RANGES => {
            let message = format!("has {} ranges; {MAX_RANGES} is the most", several.len());
            findings.report(&long(), message);
            None
        }
        (None, Some(several)) => {
            let at = long();
            let ranges: Vec<PortRange> = several
                .iter()
                .enumerate()
                .filter_map(|(index, spec)| range(spec, &at.index(index), findings))
                .collect();
            (ranges.len() == several.len()).then(|| merged(ranges))
        }
    }
}

fn range(range: &v1::PortRange, at: &Path, findings: &mut Findings) -> Option<PortRange> {
    for (key, port) in [("start", range.start), ("end", range.end)] {
        if port.is_none() {
            findings.report(&at.key(key), "is missing: a whole number from 1 to 65535");
        }
    }
    let start = port_number(range.start, &at.key("start"), findings);
    let end = port_number(range.end, &at.key("end"), findings);
    let (start, end) = (start??, end??);
    if start > end {
        let message =
            format!("starts at {start} and ends at {end}; a range ends where it starts or later");
        findings.report(at, message);
        return None;
    }
    Some(PortRange { start, end })
}

/// The same ports in as few ranges as possible, in ascending order.
fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start.get() <= last.end.get().saturating_add(1) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// How many ports they are.
pub(super) fn count(ranges: &[PortRange]) -> u32 {
    ranges.iter().map(|range| u32::from(range.end.get() - range.start.get()) + 1).sum()
}
