//! `mcrgen` on both sides of the relay.

use super::{Namespace, Process, SOON, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// What to send; `args` adds options such as `--gso`.
pub(crate) struct Send<'a> {
    pub(crate) interface: &'a str,
    pub(crate) to: (&'a str, u16),
    pub(crate) rate: u64,
    pub(crate) count: u64,
    pub(crate) stream: u32,
    pub(crate) args: &'a str,
}

impl Send<'_> {
    /// Starts sending in a namespace.
    pub(crate) fn start(&self, namespace: &Namespace) -> Process {
        let mut args: Vec<String> = ["send", "--interface", self.interface, "--group", self.to.0]
            .map(str::to_owned)
            .to_vec();
        for (option, value) in [
            ("--port", u64::from(self.to.1)),
            ("--rate", self.rate),
            ("--count", self.count),
            ("--stream-id", u64::from(self.stream)),
        ] {
            args.extend([option.to_owned(), value.to_string()]);
        }
        args.extend(self.args.split_whitespace().map(str::to_owned));
        args.extend(["-o", "json"].map(str::to_owned));
        namespace.spawn(env!("CARGO_BIN_EXE_mcrgen"), &args)
    }

    /// Sends everything and waits until it is sent.
    pub(crate) fn run(&self, namespace: &Namespace) {
        let mut process = self.start(namespace);
        let deadline = SOON + Duration::from_secs(2 * self.count / self.rate.max(1));
        let status = process.wait(deadline);
        assert!(status.success(), "mcrgen send: {status}: {}", process.stderr());
    }
}

/// What to expect; it ends after `count` datagrams, or when nothing came for a while.
pub(crate) struct Receive<'a> {
    pub(crate) interface: &'a str,
    pub(crate) at: (&'a str, u16),
    pub(crate) groups: u32,
    pub(crate) count: Option<u64>,
    pub(crate) duration: Duration,
}

impl<'a> Receive<'a> {
    /// One group, until `count` datagrams came.
    pub(crate) fn count(interface: &'a str, group: &'a str, port: u16, count: u64) -> Self {
        let duration = Duration::from_secs(30 + count / 10_000);
        Self { interface, at: (group, port), groups: 1, count: Some(count), duration }
    }

    /// Starts receiving and waits until the group is joined.
    pub(crate) fn start(&self, namespace: &Namespace) -> Receiver {
        self.start_with(namespace, "")
    }

    /// The same with more options.
    fn start_with(&self, namespace: &Namespace, more: &str) -> Receiver {
        let port = self.at.1;
        let ready = PathBuf::from(format!(
            "/run/lab/ready-{}-{}-{}-{port}",
            namespace.name(),
            self.interface,
            self.at.0
        ));
        // A file of an earlier receiver would say "ready" too soon.
        let _ = std::fs::remove_file(&ready);
        let mut args: Vec<String> = ["recv", "--interface", self.interface, "--group", self.at.0]
            .map(str::to_owned)
            .to_vec();
        let duration = format!("{}s", self.duration.as_secs());
        for (option, value) in [
            ("--groups", self.groups.to_string()),
            ("--port", port.to_string()),
            ("--duration", duration),
            ("--idle", "2s".to_owned()),
            ("--ready-file", ready.display().to_string()),
        ] {
            args.extend([option.to_owned(), value]);
        }
        if let Some(count) = self.count {
            args.extend(["--count".to_owned(), count.to_string()]);
        }
        args.extend(more.split_whitespace().map(str::to_owned));
        args.extend(["-o", "json"].map(str::to_owned));
        let mut process = namespace.spawn(env!("CARGO_BIN_EXE_mcrgen"), &args);
        wait_for("the receiver is ready", SOON, || {
            if let Some(status) = process.try_wait() {
                panic!("mcrgen {args:?} ended early ({status}): {}", process.stderr());
            }
            if ready.exists() { Ok(()) } else { Err("no ready file") }
        });
        Receiver { process, deadline: self.duration + SOON }
    }
}

/// A receiver at work.
pub(crate) struct Receiver {
    process: Process,
    deadline: Duration,
}

impl Receiver {
    /// Waits for its end and returns what it got.
    pub(crate) fn report(mut self) -> Report {
        self.process.wait(self.deadline);
        let text = self.process.stdout();
        let json = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("mcrgen recv: {error} in \"{text}\"; {}", self.process.stderr())
        });
        Report(json)
    }
}

/// A sender that goes on until it is told to end, and a receiver of what comes of that.
pub(crate) struct Stream {
    sender: Process,
    receiver: Receiver,
}

impl Stream {
    /// More than any scenario sends.
    pub(crate) const ENDLESS: u64 = 1 << 40;

    /// Starts both, the receiver first. It takes trains as they come.
    pub(crate) fn start(
        (source, send): (&Namespace, &Send),
        (receiver, interface, at): (&Namespace, &str, (&str, u16)),
    ) -> Self {
        let receive = Receive {
            interface,
            at,
            groups: 1,
            count: None,
            duration: Duration::from_secs(3 * 3600),
        };
        let receiver = receive.start_with(receiver, "--gro");
        Self { sender: send.start(source), receiver }
    }

    /// Ends it: every datagram that was sent has come once, unchanged, in order. Returns how many.
    pub(crate) fn end(mut self, what: &str) -> u64 {
        self.sender.signal(Signal::SIGINT);
        assert!(self.sender.wait(SOON).success(), "mcrgen send: {}", self.sender.stderr());
        let text = self.sender.stdout();
        let sent: Value = serde_json::from_str(&text).expect("mcrgen's JSON");
        let number = |field: &str| sent[field].as_u64().unwrap_or_else(|| panic!("{text}"));
        assert_eq!((number("errors"), number("uncertain")), (0, 0), "{text}");
        self.receiver.report().assert_perfect(what, number("sent"));
        number("sent")
    }
}

/// What a receiver got.
pub(crate) struct Report(pub(crate) Value);

impl Report {
    /// A number of the report.
    pub(crate) fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or_else(|| panic!("no {field} in {}", self.0))
    }

    /// The flows, each with its source, group and stream.
    pub(crate) fn flows(&self) -> &Vec<Value> {
        self.0["flows"].as_array().unwrap_or_else(|| panic!("no flows in {}", self.0))
    }

    /// Checks that exactly `count` datagrams came: each once, unchanged, in order.
    pub(crate) fn assert_perfect(&self, what: &str, count: u64) {
        self.assert_flawless(what);
        assert_eq!(self.number("unique"), count, "{what}: {}", self.0);
    }

    /// Checks that nothing was lost, doubled, reordered or corrupted, and that the receiver itself
    /// kept up.
    pub(crate) fn assert_flawless(&self, what: &str) {
        for fault in
            ["socketDropped", "corrupted", "lost", "duplicated", "reordered", "late", "foreign"]
        {
            assert_eq!(self.number(fault), 0, "{what}: {fault}: {}", self.0);
        }
        assert!(self.number("unique") > 0, "{what}: nothing came: {}", self.0);
    }
}
