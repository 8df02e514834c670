//! The cases: what is sent, to whom, and what is measured. Each is a row of the table in
//! docs/performance.md.

use super::network::Ingress;

/// One case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// For `CASE=`.
    pub(crate) name: &'static str,
    /// In reports.
    pub(crate) title: &'static str,
    /// What is to be reached.
    pub(crate) goal: &'static str,
    /// How the stream comes in.
    pub(crate) ingress: Ingress,
    /// Outputs of every flow.
    pub(crate) outputs: u32,
    /// Flows, in turn.
    pub(crate) flows: u32,
    /// The output devices take super-frames.
    pub(crate) segmentation: bool,
    /// What is measured.
    pub(crate) what: What,
    /// Who takes part.
    pub(crate) who: Who,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    /// Run time for each datagram at a rate, and what is lost there.
    Cpu(f64),
    /// The highest rate at which at most 0.1 % is lost; the search begins at a rate.
    Highest(f64),
    /// Added latency at 10,000 datagrams a second; with a real-time priority or without.
    Latency { fifo: bool },
    /// What arrives how evenly, how late and for how much run time, at a rate; in bursts or one by one.
    Pattern { rate: f64, one_by_one: bool },
    /// Every byte of every datagram, at a rate, through a real receiver.
    Bytes(f64),
    /// Loss of an unchanged rule at a rate while the others are changed.
    Reload(f64),
    /// Resident memory.
    Memory,
}

/// Who takes part in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Every system.
    All,
    /// Every system, and mcr with a worker that polls.
    AllAndBusyPoll,
    /// mcr and what has its command line.
    Mcr,
    /// The same with one rule and with 10,000.
    McrRules,
    /// The same with each of the settings that trade latency, CPU and evenness.
    McrSettings,
}

const PLAIN: Case = Case {
    name: "",
    title: "",
    goal: "",
    ingress: Ingress::Nic,
    outputs: 1,
    flows: 1,
    segmentation: true,
    what: What::Cpu(200_000.0),
    who: Who::All,
};

/// All of them, in the order of the report.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "fan1-cpu",
        title: "fan-out 1, 200,000 datagrams/s, outputs with USO: CPU for each datagram",
        goal: "at most 1.1 x ipmr",
        ..PLAIN
    },
    Case {
        name: "fan1-cpu-nouso",
        title: "fan-out 1, 200,000 datagrams/s, outputs without USO: CPU for each datagram",
        goal: "at most 1.5 x ipmr",
        segmentation: false,
        ..PLAIN
    },
    Case {
        name: "fan1-max",
        title: "fan-out 1: highest rate at 0.1 % loss",
        goal: "at least 5 x socat and 520,000/s",
        what: What::Highest(80_000.0),
        ..PLAIN
    },
    Case {
        name: "fan8-cpu",
        title: "fan-out 8, 50,000 datagrams/s: CPU for each datagram",
        goal: "at most 0.55 x ipmr",
        outputs: 8,
        what: What::Cpu(50_000.0),
        ..PLAIN
    },
    Case {
        name: "fan8-max",
        title: "fan-out 8: highest rate at 0.1 % loss",
        goal: "at least 480,000/s",
        outputs: 8,
        what: What::Highest(10_000.0),
        ..PLAIN
    },
    Case {
        name: "fan32-max",
        title: "fan-out 32: highest rate at 0.1 % loss (ipmr serves 31)",
        goal: "at least 180,000/s",
        outputs: 32,
        what: What::Highest(4_000.0),
        ..PLAIN
    },
    Case {
        name: "super-gso",
        title: "super-frames of a UDP_SEGMENT sender: highest rate at 0.1 % loss",
        goal: "at least 3,500,000/s",
        ingress: Ingress::Gso,
        what: What::Highest(100_000.0),
        ..PLAIN
    },
    Case {
        name: "super-gro",
        title: "super-frames by GRO at the input: highest rate at 0.1 % loss",
        goal: "at least 3,500,000/s, or the generator's end",
        ingress: Ingress::NicGro,
        what: What::Highest(80_000.0),
        ..PLAIN
    },
    Case {
        name: "super-bytes",
        title: "super-frames in, a real receiver: datagrams that are not as they were sent",
        goal: "0",
        ingress: Ingress::Gso,
        what: What::Bytes(50_000.0),
        ..PLAIN
    },
    Case {
        name: "gro-bytes",
        title: "super-frames by GRO, outputs without USO, a real receiver: datagrams that are not as they were sent",
        goal: "0",
        ingress: Ingress::NicGro,
        segmentation: false,
        what: What::Bytes(50_000.0),
        ..PLAIN
    },
    Case {
        name: "rules-cpu",
        title: "1 rule and 10,000 rules, one in use, 100,000 datagrams/s: CPU for each datagram",
        goal: "at most 10 % more with 10,000",
        what: What::Cpu(100_000.0),
        who: Who::McrRules,
        ..PLAIN
    },
    Case {
        name: "rules-max",
        title: "1 rule and 10,000 rules, one in use: highest rate at 0.1 % loss",
        goal: "at most 10 % less with 10,000",
        what: What::Highest(80_000.0),
        who: Who::McrRules,
        ..PLAIN
    },
    Case {
        name: "flows64-cpu",
        title: "64 interleaved flows, 200,000 datagrams/s: CPU for each datagram",
        goal: "at least 1.2 x better than a socket call for each datagram",
        flows: 64,
        ..PLAIN
    },
    Case {
        name: "flows64-max",
        title: "64 interleaved flows: highest rate at 0.1 % loss",
        goal: "at least 1.2 x what a socket call for each datagram reaches",
        flows: 64,
        what: What::Highest(40_000.0),
        ..PLAIN
    },
    Case {
        name: "latency",
        title: "added latency, 10,000 datagrams/s, one by one, default scheduler",
        goal: "p50 at most 30 us, p99 at most 300 us, on an idle machine",
        what: What::Latency { fifo: false },
        who: Who::AllAndBusyPoll,
        ..PLAIN
    },
    Case {
        name: "latency-fifo",
        title: "added latency, 10,000 datagrams/s, one by one, SCHED_FIFO",
        goal: "p99.9 at most 150 us",
        what: What::Latency { fifo: true },
        ..PLAIN
    },
    Case {
        name: "settings-paced",
        title: "settings, an evenly paced sender: 50,000 datagrams/s, one by one",
        goal: "none; what each setting does to pace, latency and CPU",
        what: What::Pattern { rate: 50_000.0, one_by_one: true },
        who: Who::McrSettings,
        ..PLAIN
    },
    Case {
        name: "settings-bursts",
        title: "settings, a sender of bursts: 200,000 datagrams/s",
        goal: "none; what each setting does to pace, latency and CPU",
        what: What::Pattern { rate: 200_000.0, one_by_one: false },
        who: Who::McrSettings,
        ..PLAIN
    },
    Case {
        name: "reload",
        title: "reload of 9,999 of 10,000 rules under 200,000 datagrams/s: lost on the unchanged rule",
        goal: "0 more than without a reload",
        what: What::Reload(200_000.0),
        who: Who::Mcr,
        ..PLAIN
    },
    Case {
        name: "memory",
        title: "resident memory",
        goal: "idle 20 MiB; + 10 MiB for 10,000 rules; + 5 MiB for 200 interfaces; + 34 MiB a worker with its ring",
        what: What::Memory,
        who: Who::Mcr,
        ..PLAIN
    },
];

/// What `CASE=quick` stands for: within three minutes.
pub(crate) const QUICK: &[&str] = &["fan1-cpu", "fan1-max", "fan8-cpu", "super-bytes", "latency"];
