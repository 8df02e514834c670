//! Why a relay is needed: the kernel drops multicast whose source it cannot route back to.
//!
//! ```text
//!  +-----------------+          +--------------------------+
//!  | source          |          | relay      rp_filter = 1 |
//!  | src0            |----------| in0                      |   no route to 198.51.100.0/24
//!  | 198.51.100.10   |   veth   | 10.1.0.1/24              |
//!  +-----------------+          +--------------------------+
//! ```

use crate::lab::{Lab, SOON, counter, first_datagram, listen, sender, wait_for};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);

pub(crate) fn unroutable_source(lab: &Lab) {
    let (source, relay) = (lab.namespace("source"), lab.namespace("relay"));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    source.address("src0", &format!("{SOURCE}/24"));
    relay.address("in0", "10.1.0.1/24");
    relay.sysctl("net.ipv4.conf.all.rp_filter", "1");
    let member = listen(&relay, "in0", GROUP, 5000);
    let socket = sender(&source, SOURCE, 4000);

    let before = counter(&relay, "TcpExt", "IPReversePathFilter");
    for _ in 0..50 {
        socket.send_to(b"payload", SocketAddrV4::new(GROUP, 5000)).expect("sending");
    }
    wait_for("the kernel counts all 50 as failed reverse path", SOON, || {
        match counter(&relay, "TcpExt", "IPReversePathFilter") - before {
            50 => Ok(()),
            other => Err(other),
        }
    });
    assert!(first_datagram(&member, Duration::from_millis(200)).is_none(), "one came through");
}
