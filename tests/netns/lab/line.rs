//! The topology that most scenarios need: source, relay, receiver, in a line; and two receivers that share a link.

use super::{Lab, Namespace};

/// ```text
///  +----------------+        +-------------------------+        +---------------+
///  | source         |        | relay              out0 |--------| rcv0          |
///  | src0           |--------| in0     10.2.0.1/24     |  veth  | 10.2.0.9/24   |
///  | 10.1.0.10/24   |  veth  | 10.1.0.1/24        out1 |--------| rcv1          |
///  +----------------+        |         10.3.0.1/24     |  veth  | 10.3.0.9/24   |
///                            +-------------------------+        +---------------+
/// ```
pub(crate) struct Line {
    pub(crate) source: Namespace,
    pub(crate) relay: Namespace,
    pub(crate) receiver: Namespace,
}

impl Line {
    /// With one output and the usual MTU.
    pub(crate) fn new(lab: &Lab) -> Self {
        Self::with_outputs(lab, 1500, &[1500])
    }

    /// With the MTU of the input, and one output for each further MTU. Nothing is left to
    /// offloads: frames are on the wire as they are sent.
    pub(crate) fn with_outputs(lab: &Lab, input: u32, outputs: &[u32]) -> Self {
        let [source, relay, receiver] =
            ["source", "relay", "receiver"].map(|name| lab.namespace(name));
        lab.veth((&source, "src0"), (&relay, "in0"), input);
        source.address("src0", "10.1.0.10/24");
        relay.address("in0", "10.1.0.1/24");
        let line = Self { source, relay, receiver };
        for (number, mtu) in outputs.iter().enumerate() {
            line.output(lab, number, *mtu);
        }
        // What comes with a source that is kept has no route back.
        line.receiver.sysctl("net.ipv4.conf.all.rp_filter", "0");
        line.receiver.sysctl("net.ipv4.conf.default.rp_filter", "0");
        line
    }

    /// One more output: `outN` at the relay, `rcvN` at the receiver.
    pub(crate) fn output(&self, lab: &Lab, number: usize, mtu: u32) {
        let (near, far) = (format!("out{number}"), format!("rcv{number}"));
        lab.veth((&self.relay, &near), (&self.receiver, &far), mtu);
        self.relay.address(&near, &format!("10.{}.0.1/24", number + 2));
        self.receiver.address(&far, &format!("10.{}.0.9/24", number + 2));
        self.receiver.sysctl(&format!("net.ipv4.conf.{far}.rp_filter"), "0");
        self.relay.plain_frames(&near);
    }
}

/// Two receivers on one link with the relay's `out0` (10.2.0.1/24): `first` and `second`, each with `h0` (10.2.0.8/24,
/// 10.2.0.9/24). It does not snoop: who is a member does not decide what a port gets, we do.
pub(crate) fn two_receivers(lab: &Lab, relay: &Namespace) -> [Namespace; 2] {
    let [first, second] = ["first", "second"].map(|name| lab.namespace(name));
    lab.lan(
        "lan",
        "mcast_snooping 0",
        &[
            (relay, "out0", "10.2.0.1/24"),
            (&first, "h0", "10.2.0.8/24"),
            (&second, "h0", "10.2.0.9/24"),
        ],
    );
    [first, second]
}
