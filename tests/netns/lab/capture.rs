//! What is asked for on the wire: groups in IGMP version 3 reports.

use super::Namespace;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const PROTOCOL_IGMP: u8 = 2;
const V3_REPORT: u8 = 0x22;
/// RFC 9776 section 4.2.12: record types that ask for traffic by excluding nothing, or by source.
const EXCLUDE: [u8; 2] = [2, 4];
const INCLUDE: [u8; 3] = [1, 3, 5];

/// A group and, for a source-specific record, its source.
pub(crate) type Asked = (Ipv4Addr, Option<Ipv4Addr>);

/// Listens for IGMPv3 reports in a namespace until dropped.
pub(crate) struct Capture {
    asked: Arc<Mutex<BTreeSet<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Captures on every interface of the namespace, from now on.
    pub(crate) fn igmp(namespace: &Namespace) -> Self {
        let fd = namespace.within(|| {
            socket(
                AddressFamily::Packet,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )
            .expect("a packet socket as root")
        });
        setsockopt(&fd, sockopt::RcvBufForce, &(16 << 20)).expect("a large buffer as root");
        // So that the thread notices that it should stop.
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50)).expect("a time-out");
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (asked, stop) = (Arc::clone(&asked), Arc::clone(&stop));
            move || {
                let mut packet = vec![0; 65_536];
                while !stop.load(Ordering::Relaxed) {
                    let Ok(length) = recv(fd.as_raw_fd(), &mut packet, MsgFlags::empty()) else {
                        continue;
                    };
                    let records = records(&packet[..length]);
                    asked.lock().expect("no panic while held").extend(records);
                }
            }
        });
        Self { asked, stop, thread: Some(thread) }
    }

    /// Everything asked for so far.
    pub(crate) fn asked(&self) -> BTreeSet<Asked> {
        self.asked.lock().expect("no panic while held").clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there already failed whoever looked at the result.
            let _ = thread.join();
        }
    }
}

/// The group records of an IPv4 packet, if it is a version 3 report (RFC 9776 section 4.2).
fn records(packet: &[u8]) -> Vec<Asked> {
    let mut asked = Vec::new();
    let Some(header) = packet.first().map(|byte| usize::from(byte & 15) * 4) else { return asked };
    if packet.get(9) != Some(&PROTOCOL_IGMP) || packet.get(header) != Some(&V3_REPORT) {
        return asked;
    }
    let word =
        |at: usize| Some(usize::from(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?])));
    let address = |at: usize| {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    let count = word(header + 6).unwrap_or(0);
    let mut at = header + 8;
    for _ in 0..count {
        let (Some(kind), Some(sources), Some(group)) =
            (packet.get(at), word(at + 2), address(at + 4))
        else {
            break;
        };
        if EXCLUDE.contains(kind) {
            asked.push((group, None));
        } else if INCLUDE.contains(kind) {
            asked.extend((0..sources).map(|n| (group, address(at + 8 + 4 * n))));
        }
        at += 8 + 4 * (sources + usize::from(packet[at + 1]));
    }
    asked
}
