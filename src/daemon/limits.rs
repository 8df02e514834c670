//! How many descriptors there are, and who may have them: what the network feeds must not take
//! those that control needs.

use crate::dataplane::egress::MAX_SOCKETS;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors that stay with control: netlink, API connections, memberships, ports.
const RESERVE: u64 = 640;

/// Raises the soft limit to the hard one; the limit then.
pub(super) fn raise_descriptors() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            warn!(%error, "cannot raise the limit of open files");
            soft
        }
    }
}

/// Sockets to send from that each worker may hold: half of what the reserve leaves.
pub(super) fn egress_sockets(descriptors: u64, workers: u32) -> usize {
    let share = descriptors.saturating_sub(RESERVE).max(descriptors / 4) / 2;
    let each = share / u64::from(workers.max(1));
    usize::try_from(each).unwrap_or(MAX_SOCKETS).clamp(1, MAX_SOCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_keeps_its_descriptors() {
        assert_eq!(egress_sockets(1 << 20, 1), MAX_SOCKETS);
        assert_eq!(egress_sockets(1024, 1), 192);
        assert_eq!(egress_sockets(256, 1), 32);
        assert_eq!(egress_sockets(256, 64), 1);
    }
}
