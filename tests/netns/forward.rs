//! The main job: one group in, three copies out, each with its own address and port.
//!
//! ```text
//!  +----------------+        +---------------------------------+        +-------------------+
//!  | source         |        | relay             rp_filter = 1 |        | receiver          |
//!  | src0           |--------| in0                        out0 |--------| rcv0 10.2.0.9/24  |
//!  | 198.51.100.10  |  veth  | 10.1.0.1/24         10.2.0.1/24 |  veth  |                   |
//!  +----------------+        |                            out1 |--------| rcv1 10.3.0.9/24  |
//!    no route back to it     |                     10.3.0.1/24 |  veth  +-------------------+
//!                            +---------------------------------+
//!  239.1.1.1:5000 -> 239.2.2.2:6000 on out0, 239.3.3.3:7000 on out1, 10.2.0.9:8000 by routing
//! ```

use crate::lab::{
    Frame, Injector, Lab, Receive, Relay, SOON, Send, drops, first_datagram, listen, output, port,
    rule, sender, sent, state, wait_for, wanted,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const COUNT: u64 = 2_000;

pub(crate) fn fan_out(lab: &Lab) {
    let (source, relay, receiver) =
        (lab.namespace("source"), lab.namespace("relay"), lab.namespace("receiver"));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    lab.veth((&relay, "out1"), (&receiver, "rcv1"), 1500);
    source.address("src0", "198.51.100.10/24");
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    relay.address("out1", "10.3.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    receiver.address("rcv1", "10.3.0.9/24");
    relay.sysctl("net.ipv4.conf.all.rp_filter", "1");

    let mcrd = Relay::start(&relay, lab.directory());
    mcrd.add(
        "--name main --input-interface in0 --input-group 239.1.1.1 --input-port 5000 \
         --outputs 239.2.2.2:6000:out0,239.3.3.3:7000:out1,10.2.0.9:8000",
    );
    mcrd.wait_state("main", "active");

    let receivers = [
        Receive::count("rcv0", "239.2.2.2", 6000, COUNT).start(&receiver),
        Receive::count("rcv1", "239.3.3.3", 7000, COUNT).start(&receiver),
        Receive::count("rcv0", "10.2.0.9", 8000, COUNT).start(&receiver),
    ];
    let ttl = listen_for_ttl(&receiver);
    Send {
        interface: "src0",
        to: ("239.1.1.1", 5000),
        rate: 5_000,
        count: COUNT,
        stream: 1,
        args: "--size 1316",
    }
    .run(&source);
    for (receiver, from) in receivers.into_iter().zip(["10.2.0.1", "10.3.0.1", "10.2.0.1"]) {
        let report = receiver.report();
        report.assert_perfect(from, COUNT);
        assert_eq!(report.flows().len(), 1, "{}", report.0);
        // The source is the relay's own address there: a receiver can route back to it.
        assert_eq!(report.flows()[0]["sourceAddress"], from);
    }
    assert_eq!(ttl(), 16, "the TTL of republished datagrams starts anew");

    counters_explain_everything(&mcrd);
    views_agree(&mcrd);
    unmatched_is_counted(&source, &mcrd);

    // After `remove` nothing is forwarded any more, and the command line says so.
    let late = listen(&receiver, "rcv0", Ipv4Addr::new(239, 2, 2, 2), 6000);
    let removed = mcrd.ctl(&["remove", "main"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    let socket = sender(&source, Ipv4Addr::new(198, 51, 100, 10), 4001);
    for _ in 0..20 {
        socket
            .send_to(b"late", SocketAddrV4::new(Ipv4Addr::new(239, 1, 1, 1), 5000))
            .expect("sent");
    }
    assert!(first_datagram(&late, Duration::from_millis(300)).is_none(), "still forwarded");
    assert_eq!(
        mcrd.ctl(&["remove", "main"]).status.code(),
        Some(1),
        "removing it twice is refused"
    );
    mcrd.stop();
}

/// The TTL of the first copy on rcv0, asked for later.
fn listen_for_ttl(receiver: &crate::lab::Namespace) -> impl FnOnce() -> u8 {
    let socket = listen(receiver, "rcv0", Ipv4Addr::new(239, 2, 2, 2), 6000);
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4RecvTtl, &true)
        .expect("IP_RECVTTL");
    move || {
        use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};
        use std::os::fd::AsRawFd;
        let mut space = nix::cmsg_space!(i32);
        let mut buffer = [0; 2048];
        let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<SockaddrIn>(
            socket.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::MSG_DONTWAIT,
        )
        .expect("a datagram was queued");
        let ttl = message.cmsgs().expect("whole control messages").find_map(|message| {
            if let ControlMessageOwned::Ipv4Ttl(ttl) = message { Some(ttl) } else { None }
        });
        ttl.and_then(|ttl| u8::try_from(ttl).ok()).expect("a TTL")
    }
}

fn counters_explain_everything(mcrd: &Relay) {
    let stats = wait_for("all copies are counted", SOON, || {
        let stats = mcrd.json(&["stats"]);
        let counted: u64 = (0..3).map(|n| sent(output(rule(&stats, "main"), n))).sum();
        if counted == 3 * COUNT { Ok(stats) } else { Err(stats.to_string()) }
    });
    let main = rule(&stats, "main");
    assert_eq!(main["matchedDatagrams"], COUNT);
    for number in 0..3 {
        assert_eq!(wanted(output(main, number)), COUNT);
        assert_eq!(sent(output(main, number)), COUNT);
    }
    let input = port(&stats, "in0");
    assert_eq!(input["matched"], COUNT);
    assert_eq!(input["datagrams"], COUNT);
    assert_eq!(input["kernelDropped"], 0);
    assert_eq!(input["drops"].as_object().map(serde_json::Map::len), Some(0), "{input}");
}

fn views_agree(mcrd: &Relay) {
    let list = mcrd.json(&["list"]);
    assert_eq!(state(rule(&list, "main")), "active");
    assert_eq!(rule(&list, "main")["origin"], "runtime/main");
    let mroute = mcrd.json(&["mroute"]);
    let entry = &mroute["entries"][0];
    assert_eq!(entry["interface"], "in0");
    assert_eq!(entry["group"], "239.1.1.1");
    assert_eq!(entry["outputs"].as_array().map(Vec::len), Some(3), "{mroute}");
    let membership = &mroute["memberships"][0];
    assert_eq!(membership["group"], "239.1.1.1");
    assert_eq!(membership["joined"], true);
    let interfaces = mcrd.json(&["interfaces"]).to_string();
    for name in ["in0", "out0", "out1", "10.1.0.1/24"] {
        assert!(interfaces.contains(name), "{name} is not in {interfaces}");
    }
    let workers = mcrd.json(&["list-workers"]);
    assert_eq!(workers[0]["running"], true, "{workers}");
    assert_eq!(workers[0]["staleCompletions"], 0, "{workers}");
    // Tables are for people: they show the rule and both interfaces.
    let table = mcrd.ctl(&["list"]);
    let table = String::from_utf8_lossy(&table.stdout);
    for word in ["main", "in0", "out0", "239.1.1.1"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
}

fn unmatched_is_counted(source: &crate::lab::Namespace, mcrd: &Relay) {
    let injector = Injector::new(source, "src0");
    let other_port =
        Frame::udp(Ipv4Addr::new(198, 51, 100, 10), Ipv4Addr::new(239, 1, 1, 1), 5001, b"other");
    for _ in 0..7 {
        injector.send(&other_port);
    }
    wait_for("7 datagrams to a port that no rule takes", SOON, || {
        match drops(port(&mcrd.json(&["stats"]), "in0"), "no_rule") {
            7 => Ok(()),
            other => Err(other),
        }
    });
}
