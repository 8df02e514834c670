//! Without io_uring the relay still forwards, by system calls, and says so with the reason.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay   io: "syscalls"  |        | receiver      |
//!  | src0           |--------| in0                out0 |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-------------------------+        +---------------+
//! ```

use crate::lab::{Lab, Receive, Relay, Send};

pub(crate) fn syscalls(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    let mcrd = Relay::with_config(
        &relay,
        lab.directory(),
        r#"{
  dataplane: { io: "syscalls" },
  rules: [
    { name: "many", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
      outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 }] },
    { name: "exit", input: { interface: "in0", group: "10.1.0.1", port: 5000 },
      outputs: [{ interface: "out0", group: "239.2.2.3", port: 6000 }] },
  ],
}
"#,
    );
    mcrd.wait_all_active(2);
    let workers = mcrd.json(&["list-workers"]);
    assert_eq!(workers[0]["tier"], "syscalls", "{workers}");
    let reason = workers[0]["tierReason"].as_str().unwrap_or_default();
    assert!(reason.contains("syscalls") || reason.contains("dataplane.io"), "{workers}");
    assert!(mcrd.stderr().contains("syscalls"), "the fall-back is not loud:\n{}", mcrd.stderr());

    // Super-frames and single datagrams, so that both ways of receiving are used.
    for (stream, options) in ["--size 1316", "--size 1316 --gso --train 1-64"].iter().enumerate() {
        let receivers = [("239.1.1.1", "239.2.2.2"), ("10.1.0.1", "239.2.2.3")]
            .map(|(to, out)| (to, Receive::count("rcv0", out, 6000, 5_000).start(&receiver)));
        for (to, member) in receivers {
            Send {
                interface: "src0",
                to: (to, 5000),
                rate: 10_000,
                count: 5_000,
                stream: u32::try_from(stream).expect("two streams"),
                args: options,
            }
            .run(&source);
            member.report().assert_perfect(&format!("{to} {options}"), 5_000);
        }
    }
    mcrd.stop();
}
