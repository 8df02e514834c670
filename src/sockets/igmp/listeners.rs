//! Receives the IGMP packets of links.

use super::filter;
use crate::sys::readiness::Readiness;
use crate::sys::{link, packet};
use crate::types::{IfIndex, LinkDrops};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The longest packet that is taken, bytes: IGMP fits into its link's MTU, and jumbo frames are no longer than
/// this.
pub const MAX_PACKET: usize = 9216;
/// What may wait at one interface, bytes as the kernel counts them: a limit, not an allocation. Half of it is for
/// its book-keeping: some 5,000 reports.
const RECEIVE_BUFFER: u32 = 4 << 20;
/// Packets that one call may throw away before it says that others may do something.
const THROWN_AWAY_AT_ONCE: usize = 256;

/// One packet socket for each interface. Packets come one interface after the other, so that a flood on one does
/// not delay those of another.
#[derive(Debug)]
pub struct Listeners {
    ready: Readiness,
    sockets: BTreeMap<IfIndex, Listener>,
    /// Wanted, but their interface has gone from under the socket.
    lost: BTreeSet<IfIndex>,
    /// Interfaces that may have more packets, the next one first.
    turn: VecDeque<IfIndex>,
    /// Interfaces that had packets since [`Listeners::take_lost`].
    heard: BTreeSet<IfIndex>,
    buffer: Box<[u8]>,
}

#[derive(Debug)]
struct Listener {
    socket: OwnedFd,
    too_long: u64,
}

/// What one try brings.
enum Tried {
    Packet(IfIndex, Vec<u8>),
    /// Nothing waits.
    Nothing,
    /// Something may wait, but it is somebody else's turn.
    Later,
}

impl Listeners {
    /// On no interface yet. To be called within a runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            ready: Readiness::new()?,
            sockets: BTreeMap::new(),
            lost: BTreeSet::new(),
            turn: VecDeque::new(),
            heard: BTreeSet::new(),
            // One byte more tells what is too long.
            buffer: vec![0; MAX_PACKET + 1].into_boxed_slice(),
        })
    }

    /// Listens on exactly these interfaces from now on; those where it cannot, with the reason. They are tried
    /// again at the next call. Needs CAP_NET_RAW.
    pub fn set(&mut self, wanted: &BTreeSet<IfIndex>) -> Vec<(IfIndex, io::Error)> {
        let is_stale = |(index, listener): &(&IfIndex, &Listener)| {
            !wanted.contains(*index) || !listener.is_bound()
        };
        let stale: Vec<IfIndex> = self.sockets.iter().filter(is_stale).map(|(i, _)| *i).collect();
        self.close(&stale);
        self.lost.clear();
        let mut failed = Vec::new();
        for &index in wanted {
            if !self.sockets.contains_key(&index)
                && let Err(error) = self.open(index)
            {
                failed.push((index, error));
            }
        }
        failed
    }

    /// Interfaces that are to be listened on, and that have gone from under their sockets: if one of the same index
    /// is there, [`Listeners::set`] opens another socket.
    pub fn unbound(&self) -> BTreeSet<IfIndex> {
        let unbound = self.sockets.iter().filter(|(_, listener)| !listener.is_bound());
        unbound.map(|(index, _)| *index).chain(self.lost.iter().copied()).collect()
    }

    /// Stops listening on an interface that is no longer there.
    pub fn interface_gone(&mut self, index: IfIndex) {
        self.close(&[index]);
        self.lost.remove(&index);
    }

    /// The next packet, with its interface: an IPv4 packet with its header, maybe with padding behind it. Nothing
    /// is lost where this is cancelled.
    pub async fn next(&mut self) -> (IfIndex, Vec<u8>) {
        loop {
            match self.take() {
                Tried::Packet(index, packet) => return (index, packet),
                Tried::Later => tokio::task::yield_now().await,
                Tried::Nothing => self.ready.wait().await,
            }
        }
    }

    /// The next packet where one waits.
    pub fn try_next(&mut self) -> Option<(IfIndex, Vec<u8>)> {
        match self.take() {
            Tried::Packet(index, packet) => Some((index, packet)),
            Tried::Nothing | Tried::Later => None,
        }
    }

    /// What was lost on each interface that had packets since the last call; of the others nothing was.
    pub fn take_lost(&mut self) -> Vec<(IfIndex, LinkDrops)> {
        let heard = std::mem::take(&mut self.heard);
        let lost = heard.into_iter().filter_map(|index| {
            let listener = self.sockets.get_mut(&index)?;
            let drops = packet::take_statistics(listener.socket.as_fd());
            let by_kernel = drops.map_or(0, |(_, drops)| drops);
            Some((index, LinkDrops { by_kernel, too_long: std::mem::take(&mut listener.too_long) }))
        });
        lost.filter(|(_, lost)| *lost != LinkDrops::default()).collect()
    }

    fn take(&mut self) -> Tried {
        for _ in 0..THROWN_AWAY_AT_ONCE {
            if self.turn.is_empty() {
                self.turn.extend(self.ready.now().filter_map(interface_of));
            }
            let Some(index) = self.turn.pop_front() else { return Tried::Nothing };
            let Some(listener) = self.sockets.get_mut(&index) else { continue };
            match packet::receive_one(listener.socket.as_fd(), &mut self.buffer) {
                Ok(len) => {
                    self.heard.insert(index);
                    self.turn.push_back(index);
                    match self.buffer.get(..len).filter(|_| len <= MAX_PACKET) {
                        Some(bytes) => return Tried::Packet(index, bytes.to_vec()),
                        None => listener.too_long += 1,
                    }
                }
                // What made it ready may have been the end of its interface.
                Err(_) if !listener.is_bound() => {
                    tracing::debug!(
                        ifindex = index.0,
                        "an interface went from under its IGMP socket"
                    );
                    self.lost.insert(index);
                    self.close(&[index]);
                }
                Err(_) => {}
            }
        }
        Tried::Later
    }

    fn open(&mut self, index: IfIndex) -> io::Result<()> {
        let explain = |error: io::Error| {
            let remedy = match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => "; mcrd needs CAP_NET_RAW",
                Some(libc::EMFILE) => {
                    "; raise the limit of open files (LimitNOFILE= of the service)"
                }
                _ => "",
            };
            io::Error::new(error.kind(), format!("listening to IGMP: {error}{remedy}"))
        };
        let listener = Listener::open(index).map_err(explain)?;
        self.ready.add(&listener.socket, index.0.into())?;
        self.sockets.insert(index, listener);
        Ok(())
    }

    fn close(&mut self, indices: &[IfIndex]) {
        let gone = indices.iter().filter_map(|index| self.sockets.remove(index));
        let gone: Vec<Listener> = gone.collect();
        for listener in &gone {
            // It may live on for a while.
            let _ = self.ready.remove(&listener.socket);
        }
        if !gone.is_empty() {
            // The kernel waits for all CPUs at each, some 10 ms.
            tokio::task::spawn_blocking(move || drop(gone));
        }
    }
}

impl Listener {
    fn open(index: IfIndex) -> io::Result<Self> {
        let socket = link::socket()?;
        packet::attach_filter(socket.as_fd(), &filter::program())?;
        packet::set_receive_buffer(socket.as_fd(), RECEIVE_BUFFER / 2)?;
        // Version 1 and 2 reports go to their group, which nobody here may have joined.
        packet::set_all_multicast(socket.as_fd(), index.0, true)?;
        // Last: nothing else ever gets in. Every protocol, since IPv4 alone does not come from the ports of a
        // bridge, nor tagged frames with their tag.
        packet::bind(socket.as_fd(), index.0)?;
        Ok(Self { socket, too_long: 0 })
    }

    /// False where its interface has gone.
    fn is_bound(&self) -> bool {
        packet::bound_interface(self.socket.as_fd()).is_ok_and(|index| index > 0)
    }
}

fn interface_of(key: u64) -> Option<IfIndex> {
    u32::try_from(key).ok().map(IfIndex)
}
