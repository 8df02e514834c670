//! The data plane in a process of its own: control dies and comes again, the data plane dies, somebody
//! talks nonsense to it.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay                   |        | receiver      |
//!  | src0           |--------| in0                out0 |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-------------------------+        +---------------+
//! ```

use crate::lab::{Lab, Line, Receive, Relay, SOON, Send, sent_by, verify, wait_for};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const STAYS: &str = r#"{ name: "stays", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
    outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 }] }"#;

/// A file with the rule that stays and another one that differs from version to version.
fn file(version: u16) -> String {
    format!(
        r#"{{ version: 1, dataplane: {{ holdTime: "1s" }}, rules: [ {STAYS},
    {{ name: "changes", input: {{ interface: "in0", group: "239.1.1.2", port: 5000 }},
       outputs: [{{ interface: "out0", group: "239.2.2.3", port: {} }}] }} ] }}"#,
        7000 + version
    )
}

fn traffic(count: u64, rate: u64) -> Send<'static> {
    Send { interface: "src0", to: ("239.1.1.1", 5000), rate, count, stream: 1, args: "" }
}

/// The slots of a rule show in nothing but its counters: they go on.
pub(crate) fn control_killed(lab: &Lab) {
    let Line { source, relay, receiver } = Line::new(lab);
    let mut mcrd = Relay::with_config(&relay, lab.directory(), &file(0));
    mcrd.add(
        "--name runtime --input-interface in0 --input-group 239.1.1.3 --input-port 5000 \
         --outputs 239.2.2.4:6000:out0",
    );
    mcrd.wait_all_active(3);
    let plane = mcrd.plane_pid();
    let count = if verify() { 60_000 } else { 12_000 };
    let got = Receive::count("rcv0", "239.2.2.2", 6000, count).start(&receiver);
    let mut sender = traffic(count, 4000).start(&source);
    let rounds = if verify() { 3 } else { 2 };
    for round in 0..rounds {
        wait_for("some are relayed", SOON, || match sent_by(&mcrd, "stays") {
            n if n > round * 1000 + 500 => Ok(()),
            n => Err(n),
        });
        mcrd.kill();
        mcrd = mcrd.again(&relay);
        mcrd.wait_all_active(3);
        assert_eq!(mcrd.plane_pid(), plane, "the same data plane");
    }
    assert!(sender.wait(SOON * 4).success(), "{}", sender.stderr());
    got.report().assert_perfect("while control was killed", count);
    assert_eq!(sent_by(&mcrd, "stays"), count, "the counters go on");
    // A rule that the file has not any more stays for the hold time.
    std::fs::write(
        mcrd.config(),
        format!("{{ dataplane: {{ holdTime: \"1s\" }}, rules: [ {STAYS} ] }}"),
    )
    .expect("writes");
    mcrd.kill();
    let mcrd = mcrd.again(&relay);
    mcrd.wait_all_active(3);
    wait_for("the rule that is not in the file goes", SOON, || {
        let rules = mcrd.json(&["list"]);
        match rules.as_array().map(Vec::len) {
            Some(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(sent_by(&mcrd, "stays"), count);
    mcrd.stop();
    assert!(!std::path::Path::new(&format!("/proc/{plane}")).exists(), "nothing is left behind");
}

pub(crate) fn plane_killed(lab: &Lab) {
    let Line { source, relay, receiver } = Line::new(lab);
    let mcrd = Relay::with_config(&relay, lab.directory(), &file(0));
    mcrd.wait_all_active(2);
    for round in 1..=2 {
        let plane = mcrd.plane_pid();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(plane), nix::sys::signal::SIGKILL)
            .expect("kills");
        wait_for("it is said", SOON, || {
            let log = mcrd.stderr();
            match log.matches("data plane restarted").count() {
                n if n == round => Ok(()),
                _ => Err(log),
            }
        });
        mcrd.wait_all_active(2);
        assert_ne!(mcrd.plane_pid(), plane);
    }
    let log = mcrd.stderr();
    let after = log.split("after_ms=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let after: u64 = after.and_then(|text| text.parse().ok()).expect("a number");
    println!("another data plane ran after {after} ms");
    let got = Receive::count("rcv0", "239.2.2.2", 6000, 500).start(&receiver);
    traffic(500, 1000).run(&source);
    got.report().assert_perfect("after the data plane was killed", 500);
    mcrd.stop();
}

pub(crate) fn nonsense(lab: &Lab) {
    let Line { source, relay, receiver } = Line::new(lab);
    let mcrd = Relay::with_config(&relay, lab.directory(), &file(0));
    mcrd.wait_all_active(2);
    let plane = mcrd.plane_pid();
    let got = Receive::count("rcv0", "239.2.2.2", 6000, 4000).start(&receiver);
    let mut sender = traffic(4000, 2000).start(&source);
    let path = mcrd.plane_socket();
    let mut random = 88_172_645_463_325_252u64;
    for round in 0..200usize {
        let mut socket = UnixStream::connect(path).expect("connects");
        let mut bytes = vec![0; round * 7];
        for byte in &mut bytes {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            *byte = random as u8;
        }
        // It may hang up before it has read all.
        let _ = socket.write_all(&bytes);
        if round % 2 == 0 {
            // Half-way through a message of the right form.
            let _ = socket.write_all(&[200, 0, 0, 0, 0, 1]);
        }
    }
    // It hangs up on who says nothing that it understands.
    let mut socket = UnixStream::connect(path).expect("connects");
    socket.write_all(&[0xff; 64]).expect("writes");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    // The end, or a reset: some bytes were not read.
    assert!(!matches!(socket.read(&mut [0; 8]), Ok(n) if n > 0));
    assert!(sender.wait(SOON).success(), "{}", sender.stderr());
    got.report().assert_perfect("while nonsense was talked", 4000);
    assert_eq!((mcrd.plane_pid(), sent_by(&mcrd, "stays")), (plane, 4000));
    assert!(!mcrd.stderr().contains("data plane died"), "{}", mcrd.stderr());
    let status = std::fs::read_to_string(format!("/proc/{plane}/status")).expect("it runs");
    for line in
        ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        assert!(status.contains(line), "{line} is not in\n{status}");
    }
    mcrd.stop();
}
