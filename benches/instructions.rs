//! How many instructions a packet costs: the gate of continuous integration, `make gate`. Counts do
//! not depend on what else the machine does.
//!
//! Runs itself under callgrind (valgrind), which counts inside of the function `measured` only, and
//! compares with `benches/instructions.txt`. After a change on purpose: `make gate BLESS=1`.

mod subject;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

/// How often a step runs in a count.
const TIMES: u64 = 1000;
/// A count may be so much higher or lower: compilers differ.
const TOLERANCE: f64 = 0.05;
/// Names the step to the process that is counted.
const STEP: &str = "MCR_GATE_STEP";
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// A step, made ready: each call is one packet.
type Ready = Box<dyn FnMut()>;
/// Its name and preparation.
type Step = (&'static str, fn() -> Ready);

/// All of them. The whole way of a packet through the worker belongs here too once
/// a worker can run on a backend of memory outside of its own tests.
const STEPS: &[Step] = &[
    ("decode_1", || decode(1)),
    ("decode_40", || decode(40)),
    ("lookup_1_rule", || lookup(1)),
    ("lookup_100_rules", || lookup(100)),
    ("lookup_10000_rules", || lookup(10_000)),
    ("rewrite_1", || rewrite(1)),
    ("rewrite_40", || rewrite(40)),
];

fn lookup(rules: u32) -> Ready {
    let (table, key) = (subject::table(rules), subject::key(rules));
    assert!(subject::looked_up(&table, &key).is_some());
    Box::new(move || {
        black_box(subject::looked_up(black_box(&table), black_box(&key)));
    })
}

fn decode(datagrams: u16) -> Ready {
    let frame = subject::frame(datagrams);
    assert!(subject::decoded(&frame).is_some());
    Box::new(move || {
        black_box(subject::decoded(black_box(&frame)));
    })
}

fn rewrite(datagrams: u16) -> Ready {
    let frame = subject::frame(datagrams);
    let datagram = subject::decoded(&frame).expect("a whole packet");
    assert!(subject::rewritten(&frame, &datagram) > 0);
    Box::new(move || {
        black_box(subject::rewritten(black_box(&frame), black_box(&datagram)));
    })
}

/// All that is counted; callgrind knows it by its name.
#[inline(never)]
fn measured(step: &mut dyn FnMut()) {
    for _ in 0..TIMES {
        step();
    }
    // Something after the calls, so that this stays a function with a frame of its own.
    black_box(step);
}

fn main() -> ExitCode {
    if let Ok(wanted) = std::env::var(STEP) {
        let step = STEPS.iter().find(|(name, _)| *name == wanted);
        let Some((_, ready)) = step else { return ExitCode::FAILURE };
        measured(&mut *ready());
        return ExitCode::SUCCESS;
    }
    if !cfg!(target_arch = "x86_64") {
        eprintln!("gate: skipped: the numbers are those of x86_64");
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("gate: skipped: valgrind is not installed (scripts/setup gate)");
        let needed = std::env::var("CI").is_ok_and(|value| value == "true");
        return if needed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let mut counts = BTreeMap::new();
    for (name, _) in STEPS {
        match count(name) {
            Ok(count) => counts.insert(*name, count),
            Err(reason) => {
                eprintln!("gate: {name}: {reason}");
                return ExitCode::FAILURE;
            }
        };
    }
    if std::env::var("BLESS").is_ok_and(|value| value == "1") {
        return bless(&counts);
    }
    compare(&counts)
}

/// Instructions of one packet in a step.
fn count(name: &str) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured*"])
        .arg("--callgrind-out-file=/dev/null")
        .arg(own)
        .env(STEP, name)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    let total: Option<u64> = line.and_then(|(_, number)| number.trim().parse().ok());
    match total {
        Some(total) if output.status.success() && total > TIMES => Ok(total / TIMES),
        _ => Err(format!("callgrind counted nothing: {text}")),
    }
}

fn compare(counts: &BTreeMap<&str, u64>) -> ExitCode {
    let text = fs::read_to_string(COMMITTED).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    let committed: BTreeMap<&str, u64> =
        pairs.filter_map(|(name, count)| Some((name, count.trim().parse().ok()?))).collect();
    let mut failed = false;
    for (name, &count) in counts {
        let Some(&before) = committed.get(name) else {
            eprintln!("gate: {name}: {count}, and no number in {COMMITTED}");
            failed = true;
            continue;
        };
        let change = count as f64 / before as f64 - 1.0;
        let within = change.abs() <= TOLERANCE;
        let verdict = if within { "" } else { "  <-- more than 5 % off" };
        println!("{name:20} {count:6} instructions, {:+.1} %{verdict}", 100.0 * change);
        failed |= !within;
    }
    for name in committed.keys().filter(|name| !counts.contains_key(*name)) {
        eprintln!("gate: {name} is in {COMMITTED} and is measured no more");
        failed = true;
    }
    if failed {
        eprintln!(
            "gate: if that is meant (better too): make gate BLESS=1, and say why in the commit"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn bless(counts: &BTreeMap<&str, u64>) -> ExitCode {
    let mut text =
        "# Instructions for each packet (make gate), by callgrind, release build.\n".to_owned();
    for (name, count) in counts {
        println!("{name:20} {count:6}");
        let _ = writeln!(text, "{name} {count}");
    }
    match fs::write(Path::new(COMMITTED), text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gate: {COMMITTED}: {error}");
            ExitCode::FAILURE
        }
    }
}
