//! The simulator: hosts, routers and proxies on virtual links that lose, delay and repeat packets, on a virtual
//! clock, in one thread. What a seed gives it gives again.

mod election;
mod groups;
mod lossy;
mod mixed;
mod network;
mod proxy;
mod scale;

use mcr::types::{IgmpSettings, Reception};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const H: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sources 10.200.0.x by x.
fn source(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 200, 0, last)
}

fn include(sources: &[u8]) -> Reception {
    Reception::Include(sources.iter().map(|last| source(*last)).collect())
}

fn exclude(sources: &[u8]) -> Reception {
    Reception::Exclude(sources.iter().map(|last| source(*last)).collect())
}

/// What somebody wants of a group from all sources.
fn all() -> Reception {
    Reception::Exclude(BTreeSet::new())
}

fn robust(robustness: u8) -> IgmpSettings {
    IgmpSettings { robustness, ..IgmpSettings::default() }
}

/// The group membership interval of version 3 with the usual intervals (RFC 9776 section 8.4), and a second for
/// what is under way.
fn membership_interval(robustness: u32) -> Duration {
    seconds(125) * robustness + seconds(20) + seconds(1)
}
