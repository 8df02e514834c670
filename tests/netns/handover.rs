//! The data plane is replaced by another while it forwards: the new one is handed every input socket.
//!
//! The topology is that of `lab::Line`, with one output.

use crate::lab::{Footprint, Lab, Line, Receive, Relay, SOON, Send, sent_by, verify, wait_for};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::Duration;

/// A group over two shards that two workers read, and a unicast port.
const FILE: &str = r#"{ version: 1, dataplane: { workers: 2, shards: 2 }, rules: [
    { name: "group", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
      outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 }] },
    { name: "unicast", input: { interface: "in0", group: "10.1.0.1", port: 5001 },
      outputs: [{ interface: "out0", group: "239.2.2.3", port: 6001 }] } ] }"#;

/// The processes of data planes; those that have ended and are not collected do not count.
fn planes() -> BTreeSet<i32> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid: &i32| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line == b"mcrd\0dataplane\0")
        })
        .collect()
}

/// One that was told to end may be about to.
fn one_plane(mcrd: &Relay, round: u64) {
    wait_for("there is one data plane", SOON, || match planes() {
        planes if planes == BTreeSet::from([mcrd.plane_pid()]) => Ok(()),
        planes => Err(format!("round {round}: {planes:?}, {}", mcrd.plane_pid())),
    });
}

pub(crate) fn replaced(lab: &Lab) {
    let Line { source, relay, receiver } = Line::new(lab);
    let mcrd = Relay::with_config(&relay, lab.directory(), FILE);
    mcrd.wait_all_active(2);
    let members = relay.run("ip maddress show dev in0");
    // What is sent lasts for all rounds.
    let (rounds, each): (u64, u64) = if verify() { (100, 20_000) } else { (5, 8_000) };
    let (count, rate) = (rounds * each, 20_000);
    let receive = |group, port, count| {
        let duration = SOON * 3 + Duration::from_secs(rounds * each / rate);
        Receive { duration, ..Receive::count("rcv0", group, port, count) }.start(&receiver)
    };
    let group = receive("239.2.2.2", 6000, count);
    let unicast = receive("239.2.2.3", 6001, count / 10);
    let send = |to, rate, count, stream| {
        Send { interface: "src0", to, rate, count, stream, args: "" }.start(&source)
    };
    let mut senders = [
        send(("239.1.1.1", 5000), rate, count, 1),
        send(("10.1.0.1", 5001), rate / 10, count / 10, 2),
    ];
    let mut first = None;
    let mut slowest = 0;
    for round in 0..rounds {
        let (old, before) = (mcrd.plane_pid(), sent_by(&mcrd, "group"));
        let answer = mcrd.json(&["upgrade", "--dataplane"]);
        let plane = &answer["dataPlane"];
        let pid = mcrd.plane_pid();
        assert_eq!((plane["pid"].as_i64(), plane["ports"].as_i64()), (Some(pid.into()), Some(3)));
        assert_ne!(pid, old);
        one_plane(&mcrd, round);
        mcrd.wait_all_active(2);
        assert!(sent_by(&mcrd, "group") >= before, "the counters go on");
        slowest = slowest.max(plane["milliseconds"].as_u64().expect("a number"));
        // Sockets to send from are opened as they are needed.
        let (now, control) = (Footprint::of(pid), Footprint::of(mcrd.control_pid()).descriptors);
        let first = first.get_or_insert((now, control));
        assert!(now.descriptors <= first.0.descriptors + 4, "{first:?} {now:?}");
        assert!(now.resident <= first.0.resident + 8 * 1024, "memory: {first:?} {now:?}");
        assert!(control <= first.1 + 2, "{first:?} {control}");
    }
    for sender in &mut senders {
        assert!(sender.wait(SOON * 20).success(), "{}", sender.stderr());
    }
    group.report().assert_perfect("a group while data planes were replaced", count);
    unicast.report().assert_perfect("unicast while data planes were replaced", count / 10);
    assert_eq!((sent_by(&mcrd, "group"), sent_by(&mcrd, "unicast")), (count, count / 10));
    assert_eq!(relay.run("ip maddress show dev in0"), members);
    let ledger = &mcrd.json(&["stats"])["ledger"];
    assert_eq!(ledger["closes"], true, "{ledger}");
    println!("{rounds} data planes were replaced, each within {slowest} ms");
    mcrd.stop();
    assert_eq!(planes(), BTreeSet::new(), "nothing is left behind");
}

/// Control is killed in the middle, and a data plane does not let go of its ports.
pub(crate) fn interrupted(lab: &Lab) {
    let Line { source, relay, receiver } = Line::new(lab);
    let mut mcrd = Relay::with_config(&relay, lab.directory(), FILE);
    mcrd.wait_all_active(2);
    for round in 0..if verify() { 100 } else { 4 } {
        let mut asked = mcrd.start_ctl(&["upgrade", "--dataplane"]);
        // Not a wait for anything: killed at another moment each time.
        std::thread::sleep(Duration::from_millis(round * 37 % 110));
        mcrd.kill();
        // It may have been answered before, or not.
        let _ = asked.wait();
        mcrd = mcrd.again(&relay);
        mcrd.wait_all_active(2);
        one_plane(&mcrd, round);
    }
    let successor = mcrd.plane_socket().with_extension("successor");
    assert!(!successor.exists(), "{}", successor.display());

    let hung = mcrd.plane_pid();
    mcrd.signal_plane(Signal::SIGSTOP);
    let answer = mcrd.json(&["upgrade", "--dataplane"]);
    assert_ne!(answer["dataPlane"]["pid"].as_i64(), Some(hung.into()), "{answer}");
    one_plane(&mcrd, 0);
    mcrd.wait_all_active(2);
    let got = Receive::count("rcv0", "239.2.2.2", 6000, 2000).start(&receiver);
    Send {
        interface: "src0",
        to: ("239.1.1.1", 5000),
        rate: 4000,
        count: 2000,
        stream: 1,
        args: "",
    }
    .run(&source);
    got.report().assert_perfect("after a data plane that hung", 2000);
    mcrd.stop();
}
