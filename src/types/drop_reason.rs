//! Every way in which a received packet does not become a sent one, each with a name and a counter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where in a packet's way the reason is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DropStage {
    /// Before a frame is looked at: counted once a frame, per port.
    Port,
    /// While the frame is decoded: counted once a frame, per port.
    Frame,
    /// After decoding, before any output is known: counted in datagrams, per port.
    Lookup,
    /// A copy that an output wanted: counted in datagrams, per output.
    Output,
}

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $stage:ident;)+) => {
        /// Why a packet was not sent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])+ $name,)+ }

        impl DropReason {
            /// Every reason, in counter order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// How many reasons there are: the length of a counter array.
            pub const COUNT: usize = Self::ALL.len();

            /// The counter's name in `mcrctl stats`, JSON and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }

            /// Where it is counted.
            pub const fn stage(self) -> DropStage {
                match self { $(Self::$name => DropStage::$stage,)+ }
            }
        }
    };
}

drop_reasons! {
    /// The input port was closed before the frame was read.
    PortClosed = "port_closed", Port;
    /// The frame is shorter than its link header and the smallest IP header.
    Runt = "runt", Frame;
    /// The frame did not fit the receive buffer; a cut frame is never forwarded.
    Truncated = "truncated", Frame;
    /// The frame carries a VLAN tag that no rule on this interface asks for.
    VlanTag = "vlan_tag", Frame;
    /// The frame is not IPv4.
    NotIpv4 = "not_ipv4", Frame;
    /// The IP version, header length or total length contradicts the frame.
    IpHeader = "ip_header", Frame;
    /// The IP header checksum is wrong.
    IpChecksum = "ip_checksum", Frame;
    /// A fragment whose datagram did not become whole in time.
    FragmentTimeout = "fragment_timeout", Frame;
    /// A fragment for which there was no room: too many datagrams were incomplete.
    FragmentBudget = "fragment_budget", Frame;
    /// A fragment that repeats or overlaps another, or does not fit a datagram.
    FragmentInvalid = "fragment_invalid", Frame;
    /// The packet is not UDP, and no rule takes other protocols to this destination.
    NotUdp = "not_udp", Lookup;
    /// The UDP length contradicts the IP length.
    UdpLength = "udp_length", Frame;
    /// The UDP checksum is wrong.
    UdpChecksum = "udp_checksum", Frame;
    /// The checksum that was left to the device (NEEDS_CSUM) lies outside the packet.
    ChecksumStart = "checksum_start", Frame;
    /// A super-frame of a kind other than UDP segmentation.
    GsoType = "gso_type", Frame;
    /// A super-frame without a usable segment size.
    GsoSize = "gso_size", Frame;
    /// The source is our own address on that interface: our own packet came back.
    OwnSource = "own_source", Lookup;
    /// No rule wants this destination and port on this interface.
    NoRule = "no_rule", Lookup;
    /// Rules want this destination, but their source lists leave this source out.
    SourceFiltered = "source_filtered", Lookup;
    /// The destination is in 224.0.0.0/24 and the rules that want it say `linkLocal: "drop"`.
    LinkLocal = "link_local", Lookup;
    /// IGMP or PIM to a destination that a rule takes with every protocol: they stay on their link.
    LinkProtocol = "link_protocol", Lookup;
    /// The output says `when: "joined"`, and nobody wants the datagram there.
    NoMember = "no_member", Output;
    /// The output interface does not exist.
    NoInterface = "no_interface", Output;
    /// The output interface is set down.
    InterfaceDown = "interface_down", Output;
    /// The output interface has no carrier.
    NoCarrier = "no_carrier", Output;
    /// The output interface has no IPv4 address to send from.
    NoAddress = "no_address", Output;
    /// The kernel has no route to the output's unicast address.
    NoRoute = "no_route", Output;
    /// The output's TTL is "decrement" or "keep" and the packet arrived with too small a TTL.
    TtlExpired = "ttl_expired", Output;
    /// The datagram has passed so many relays that it must be going round.
    RelayLoop = "relay_loop", Output;
    /// The output would feed a rule that leads back to it.
    WouldLoop = "would_loop", Output;
    /// The datagram is larger than the interface's MTU and the output says `mtuPolicy: "drop"`.
    MtuExceeded = "mtu_exceeded", Output;
    /// The datagram is larger than the interface's MTU and its sender forbids fragments (DF).
    DontFragment = "dont_fragment", Output;
    /// Another rule of higher precedence sends the same copy rewritten differently.
    Contradicted = "contradicted", Output;
    /// The output's `rateLimit` is used up.
    RateLimited = "rate_limited", Output;
    /// The socket's send buffer is full (EAGAIN): the output is slower than the input.
    SendBufferFull = "send_buffer_full", Output;
    /// The interface's transmit queue is full (ENOBUFS).
    TransmitQueueFull = "transmit_queue_full", Output;
    /// The datagram is larger than the kernel will send there (EMSGSIZE).
    MessageSize = "message_size", Output;
    /// A packet filter refused it (EPERM, EACCES).
    Filtered = "filtered", Output;
    /// The receiver's host answered that nobody listens or cannot be reached (ECONNREFUSED, EHOSTUNREACH).
    Unreachable = "unreachable", Output;
    /// No socket could be had to send from: a limit of ours or of the system is reached.
    NoSocket = "no_socket", Output;
    /// The kernel refused the send for another reason.
    SendError = "send_error", Output;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_match_their_json_form() {
        let mut seen = std::collections::BTreeSet::new();
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert!(seen.insert(reason.name()), "{} twice", reason.name());
            let json = serde_json::to_string(reason).expect("serialises");
            assert_eq!(json, format!("\"{}\"", reason.name()));
        }
    }
}
