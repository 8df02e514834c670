//! The netlink socket: groups, receive buffer, dump requests, datagrams and the messages in them.

use super::decode;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN,
    NetlinkBuffer, NetlinkMessage,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::RouteMessage;
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::MulticastGroup;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket};
use std::future::poll_fn;
use std::io;

/// Bytes that notifications may wait in; some 10,000 of them.
const RECEIVE_BUFFER: usize = 4 << 20;
/// A dump comes in datagrams of at most 32 KiB; a notification for a link with thousands of names
/// may be longer.
const DATAGRAM: usize = 256 << 10;

/// `struct nlmsghdr`.
const HEADER_LEN: usize = 16;

const GROUPS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// How large the socket's receive buffer is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReceiveBuffer {
    /// As large as we like it, with privilege; else as large as `net.core.rmem_max` allows.
    Ample,
    /// So many bytes, to provoke losses.
    #[cfg(test)]
    Tiny(usize),
}

/// What a dump lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Links,
    Addresses,
    Routes,
}

impl Table {
    /// Links first: what follows refers to them.
    pub(super) const FIRST: Self = Self::Links;

    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Links => Some(Self::Addresses),
            Self::Addresses => Some(Self::Routes),
            Self::Routes => None,
        }
    }

    fn request(self) -> RouteNetlinkMessage {
        match self {
            Self::Links => {
                let mut message = LinkMessage::default();
                let no_statistics = vec![LinkExtentMask::SkipStats];
                message.attributes.push(LinkAttribute::ExtMask(no_statistics));
                RouteNetlinkMessage::GetLink(message)
            }
            Self::Addresses => RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            Self::Routes => RouteNetlinkMessage::GetRoute(RouteMessage::default()),
        }
    }
}

/// Why the picture cannot be trusted any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Loss {
    /// ENOBUFS or NLMSG_OVERRUN.
    #[error("the receive buffer overflowed")]
    Overflow,
    /// A datagram that is cut or no sequence of netlink messages.
    #[error("a malformed or cut datagram")]
    Malformed,
    /// More changes during one dump than are kept.
    #[error("too many changes while the dump ran")]
    TooManyChanges,
    /// The network changed under every attempt to list it.
    #[error("every dump was interrupted by changes")]
    Interrupted,
    /// A change with consequences that the kernel does not tell.
    #[error("a change with untold consequences for multipath routes")]
    Doubt,
    /// The kernel refused the dump, or the socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// One message of a datagram.
#[derive(Debug)]
pub(super) enum Message {
    /// A change that happened after the groups were joined.
    Notification(decode::Change),
    /// An entry of the running dump.
    Entry(decode::Change),
    /// The running dump is complete.
    Done,
    /// The running dump skipped or doubled entries (NLM_F_DUMP_INTR).
    Interrupted,
}

/// A bound netlink socket and the sequence number of the dump that runs on it.
pub(super) struct Channel {
    socket: TokioSocket,
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Channel {
    /// Opens and binds: from here on, changes are queued.
    pub(super) fn open(buffer: ReceiveBuffer) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let plain = socket.socket_mut();
        match buffer {
            ReceiveBuffer::Ample => {
                setsockopt(plain, sockopt::RcvBufForce, &RECEIVE_BUFFER)
                    .or_else(|_| setsockopt(plain, sockopt::RcvBuf, &RECEIVE_BUFFER))?;
            }
            #[cfg(test)]
            ReceiveBuffer::Tiny(bytes) => setsockopt(plain, sockopt::RcvBuf, &bytes)?,
        }
        let groups = GROUPS.iter().fold(0, |mask, group| mask | 1 << (*group as u32 - 1));
        plain.bind(&SocketAddr::new(0, groups))?;
        let mut address = SocketAddr::new(0, 0);
        plain.get_address(&mut address)?;
        Ok(Self {
            socket,
            port: address.port_number(),
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// Asks for a table. One dump at a time; the answer arrives among the notifications.
    pub(super) fn dump(&mut self, table: Table) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let mut message = NetlinkMessage::from(table.request());
        message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.socket_ref().send_to(&bytes, &SocketAddr::new(0, 0), 0).map(|_| ())
    }

    /// Waits for the next datagram and passes its messages on. `idle` is set where nothing waited.
    /// Dropping the future loses nothing: a datagram is taken and passed on without waiting.
    pub(super) async fn receive(
        &mut self,
        idle: &mut bool,
        mut take: impl FnMut(Message),
    ) -> Result<(), Loss> {
        let Self { socket, port, sequence, buffer } = self;
        loop {
            buffer.clear();
            let received = poll_fn(|context| {
                let poll = socket.poll_recv_from(context, buffer);
                *idle |= poll.is_pending();
                poll
            });
            let sender = match received.await {
                Ok(sender) => sender,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Err(Loss::Overflow);
                }
                Err(error) => return Err(error.into()),
            };
            // Port 0 is the kernel; a process may send to us, too, and is not believed.
            if sender.port_number() != 0 {
                continue;
            }
            // A full buffer means that the datagram may have been longer.
            if buffer.len() == buffer.capacity() {
                return Err(Loss::Malformed);
            }
            let notification = sender.multicast_groups() != 0;
            return split(buffer, notification, (*port, *sequence), &mut take);
        }
    }
}

/// Takes a datagram apart. Answers to other requests than `dump` (port, sequence number) are
/// left over from a dump given up and are skipped.
fn split(
    mut bytes: &[u8],
    notification: bool,
    dump: (u32, u32),
    take: &mut impl FnMut(Message),
) -> Result<(), Loss> {
    while !bytes.is_empty() {
        let message = NetlinkBuffer::new_checked(bytes).map_err(|_| Loss::Malformed)?;
        let length = message.length() as usize;
        let payload = bytes.get(HEADER_LEN..length).ok_or(Loss::Malformed)?;
        let ours = !notification && (message.port_number(), message.sequence_number()) == dump;
        if ours && message.flags() & NLM_F_DUMP_INTR != 0 {
            take(Message::Interrupted);
        }
        match message.message_type() {
            NLMSG_OVERRUN => return Err(Loss::Overflow),
            NLMSG_DONE | NLMSG_ERROR if !ours => {}
            NLMSG_DONE => {
                refusal(payload)?;
                take(Message::Done);
            }
            NLMSG_ERROR => refusal(payload)?,
            kind => match decode::change(kind, message.flags(), payload) {
                Some(change) if notification => take(Message::Notification(change)),
                Some(change) if ours => take(Message::Entry(change)),
                _ => {}
            },
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

/// The negative errno at the start of NLMSG_ERROR and NLMSG_DONE.
fn refusal(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes)) {
        code if code < 0 => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER_LEN + payload.len()).expect("short");
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(77_u32.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn taken(bytes: &[u8], notification: bool) -> (Vec<&'static str>, Result<(), Loss>) {
        let mut names = Vec::new();
        let result = split(bytes, notification, (77, 5), &mut |message| {
            names.push(match message {
                Message::Notification(_) => "notification",
                Message::Entry(_) => "entry",
                Message::Done => "done",
                Message::Interrupted => "interrupted",
            });
        });
        (names, result)
    }

    /// ifinfomsg of interface 3.
    const GONE: [u8; 16] = [0, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn notifications_and_dump_entries_are_told_apart() {
        let one = message(libc::RTM_DELLINK, 0, 5, &GONE);
        assert_eq!(taken(&one, true).0, ["notification"]);
        assert_eq!(taken(&one, false).0, ["entry"]);
        let stale = message(libc::RTM_DELLINK, 0, 4, &GONE);
        assert!(taken(&stale, false).0.is_empty(), "an answer to an earlier dump");
        let last = [
            message(libc::RTM_DELLINK, NLM_F_DUMP_INTR, 5, &GONE),
            message(NLMSG_DONE, 0, 5, &[0; 4]),
        ];
        assert_eq!(taken(&last.concat(), false).0, ["interrupted", "entry", "done"]);
    }

    #[test]
    fn errors_and_overruns_are_losses() {
        let refused = message(NLMSG_ERROR, 0, 5, &(-libc::EPERM).to_ne_bytes());
        assert!(
            matches!(taken(&refused, false).1, Err(Loss::Io(e)) if e.raw_os_error() == Some(libc::EPERM))
        );
        let failed = message(NLMSG_DONE, 0, 5, &(-libc::ENOMEM).to_ne_bytes());
        assert!(matches!(taken(&failed, false).1, Err(Loss::Io(_))));
        assert!(matches!(taken(&message(NLMSG_OVERRUN, 0, 0, &[]), true).1, Err(Loss::Overflow)));
    }

    #[test]
    fn a_datagram_cut_anywhere_is_a_loss_or_whole() {
        let both =
            [message(libc::RTM_DELLINK, 0, 0, &GONE), message(libc::RTM_DELLINK, 0, 0, &GONE)];
        let both = both.concat();
        for end in 0..both.len() {
            let (names, result) = taken(&both[..end], true);
            assert_eq!(result.is_ok(), end % 32 == 0, "cut at {end}");
            assert_eq!(names.len(), end / 32);
        }
        let mut absurd = both;
        absurd[0] = 3;
        assert!(matches!(taken(&absurd, true).1, Err(Loss::Malformed)));
    }
}
