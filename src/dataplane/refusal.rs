//! What the kernel's answer to a send means (errno(3), ip(7), udp(7)).

use crate::types::DropReason;

/// The errors that the kernel makes of ICMP messages (icmp_err_convert, net/ipv4/icmp.c) and
/// reports on whatever is sent next from the socket.
pub(super) fn may_be_of_an_earlier_send(errno: i32) -> bool {
    matches!(
        errno,
        libc::ENETUNREACH
            | libc::EHOSTUNREACH
            | libc::ENOPROTOOPT
            | libc::ECONNREFUSED
            | libc::EMSGSIZE
            | libc::EOPNOTSUPP
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EPROTO
    )
}

/// The errors by which the kernel says that several datagrams cannot leave as one message: the
/// segments are larger than the MTU, the device computes no checksums (EIO before Linux 6.11), or
/// the kernel knows no such frames (EINVAL before 6.2).
pub(super) fn may_be_of_a_train(errno: i32) -> bool {
    matches!(errno, libc::EMSGSIZE | libc::EINVAL | libc::EIO | libc::EOPNOTSUPP)
}

/// The drop reason of a refused send.
pub(super) fn reason_of(errno: i32) -> DropReason {
    match errno {
        libc::EAGAIN => DropReason::SendBufferFull,
        libc::ENOBUFS => DropReason::TransmitQueueFull,
        libc::EMSGSIZE => DropReason::MessageSize,
        libc::EPERM | libc::EACCES => DropReason::Filtered,
        libc::ECONNREFUSED
        | libc::EHOSTUNREACH
        | libc::EHOSTDOWN
        | libc::ENOPROTOOPT
        | libc::ENONET
        | libc::EPROTO => DropReason::Unreachable,
        libc::ENETUNREACH => DropReason::NoRoute,
        libc::ENETDOWN => DropReason::InterfaceDown,
        libc::ENODEV | libc::ENXIO => DropReason::NoInterface,
        libc::EADDRNOTAVAIL => DropReason::NoAddress,
        _ => DropReason::SendError,
    }
}
