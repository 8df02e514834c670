//! Why a packet is not an IGMP message to be listened to.

macro_rules! invalid {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// Why a packet is dropped before anything is done with it. Nobody is told (RFC 2236 section 2).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Invalid { $($(#[doc = $doc])+ $name,)+ }

        impl Invalid {
            /// Every reason, in the order of declaration, so `ALL[reason as usize] == reason`.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The counter's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

invalid! {
    /// The IP version, header length or total length contradicts the packet.
    IpHeader = "ip_header";
    /// The IP header checksum is wrong.
    IpChecksum = "ip_checksum";
    /// The packet's protocol is not IGMP.
    NotIgmp = "not_igmp";
    /// A fragment: no message is so long that it must be cut.
    Fragment = "fragment";
    /// The source is a multicast or the broadcast address.
    Source = "source";
    /// The TTL is not 1, so the packet may come from another link.
    Ttl = "ttl";
    /// The message has fewer than 8 bytes.
    Short = "short";
    /// The message's checksum is wrong.
    Checksum = "checksum";
    /// The message is of a type that is not listened to.
    UnknownType = "unknown_type";
    /// The message is shorter than the sources or records that it claims, or a query of 9 to 11 bytes.
    Length = "length";
    /// The group is not a multicast address, or a query for sources names none.
    Group = "group";
    /// A message of this type and group does not go to this destination.
    Destination = "destination";
}
