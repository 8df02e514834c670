//! Frames as they were on the wire of one interface, byte for byte.

use super::{Frame, Namespace};
use mcr::sys::packet::set_option;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// linux/if_packet.h.
const PACKET_AUXDATA: libc::c_int = 8;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;

/// A packet socket that hears everything which arrives on an interface.
pub(crate) struct Tap {
    socket: OwnedFd,
}

impl Tap {
    /// Listens from now on; the interface's own transmissions are not heard.
    pub(crate) fn new(namespace: &Namespace, interface: &str) -> Self {
        let address = super::frames::link_of(namespace, interface);
        let socket = namespace.within(|| {
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )
            .expect("a packet socket as root")
        });
        // Until it is bound it hears every interface of the namespace: see below.
        bind(socket.as_raw_fd(), &address).expect("bound to the interface");
        setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).expect("a large buffer as root");
        for option in [PACKET_AUXDATA, PACKET_IGNORE_OUTGOING] {
            set_option(socket.as_fd(), libc::SOL_PACKET, option, &1i32).expect("since Linux 4.20");
        }
        let tap = Self { socket };
        // What came before.
        while tap.next(Duration::ZERO).is_some() {}
        tap
    }

    /// The next frame with IPv4 in it, or none within `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Option<Frame> {
        let start = Instant::now();
        loop {
            let left = patience.saturating_sub(start.elapsed());
            // 0 would mean for ever.
            let timeout = i64::try_from(left.as_micros()).expect("seconds").max(1);
            setsockopt(&self.socket, sockopt::ReceiveTimeout, &TimeVal::microseconds(timeout))
                .expect("a time-out");
            if let Some(frame) = Frame::captured(&self.receive()?) {
                return Some(frame);
            }
        }
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_600];
        let mut space = nix::cmsg_space!([u8; 20]);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let fd = self.socket.as_raw_fd();
        let message =
            recvmsg::<LinkAddr>(fd, &mut slices, Some(&mut space), MsgFlags::empty()).ok()?;
        let tag = message.cmsgs().expect("whole control messages").find_map(|message| {
            let ControlMessageOwned::Unknown(auxiliary) = message else { return None };
            tag(&auxiliary.data_bytes)
        });
        let length = message.bytes;
        buffer.truncate(length);
        if let Some([high, low]) = tag {
            buffer.splice(12..12, [0x81, 0x00, high, low]);
        }
        Some(buffer)
    }
}

/// The tag control information of struct tpacket_auxdata; the kernel has taken it out of the frame.
fn tag(auxiliary: &[u8]) -> Option<[u8; 2]> {
    let status = u32::from_ne_bytes(auxiliary.get(..4)?.try_into().ok()?);
    let tag = u16::from_ne_bytes(auxiliary.get(16..18)?.try_into().ok()?);
    (status & TP_STATUS_VLAN_VALID != 0).then_some(tag.to_be_bytes())
}
