//! `mcrctl upgrade`: control becomes the program that stands on disk, while the data plane goes on.
//!
//! The topology is that of `lab::Line`, with one output.

use crate::lab::{
    Footprint, Joined, Lab, Line, Relay, Rounds, SOON, Send, Stream, sent_by, verify, wait_for,
};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const STAYS: &str = r#"{ name: "stays", input: { interface: "in0", group: "239.1.1.1", port: 5000 },
    outputs: [{ interface: "out0", group: "239.2.2.2", port: 6000 }] }"#;

/// A file with the rule that stays and another one.
fn file(version: u16) -> String {
    format!(
        r#"{{ dataplane: {{ holdTime: "1s" }}, rules: [ {STAYS},
    {{ name: "changes", input: {{ interface: "in0", group: "239.1.1.2", port: 5000 }},
       outputs: [{{ interface: "out0", group: "239.2.2.3", port: {} }}] }} ] }}"#,
        7000 + version
    )
}

fn stream(line: &Line, rate: u64) -> Stream {
    let to = ("239.1.1.1", 5000);
    let count = Stream::ENDLESS;
    let send = Send { interface: "src0", to, rate, count, stream: 1, args: "--size 200" };
    Stream::start((&line.source, &send), (&line.receiver, "rcv0", ("239.2.2.2", 6000)))
}

/// Puts a program in the place of another, as a package does.
fn install(from: &Path, to: &Path) {
    let new = to.with_extension("new");
    std::fs::copy(from, &new).expect("copies");
    std::fs::rename(&new, to).expect("renames");
}

/// The process runs the file that stands there.
fn runs(process: i32, program: &Path) {
    let running = std::fs::metadata(format!("/proc/{process}/exe")).expect("it runs");
    let there = std::fs::metadata(program).expect("a program");
    assert_eq!((running.dev(), running.ino()), (there.dev(), there.ino()), "not the file on disk");
}

fn pid_of(mcrd: &Relay) -> i32 {
    let pid = mcrd.json(&["ping"])["pid"].as_i64().expect("a process");
    i32::try_from(pid).expect("a process")
}

/// What cannot take over is refused, and nothing changes.
fn refusals(lab: &Lab, mcrd: &Relay, program: &Path) {
    let refused = |what: &str| {
        let output = mcrd.ctl(&["upgrade"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("no upgrade") && said.contains(what), "{said}");
    };
    let broken = lab.directory().join("broken");
    std::fs::write(&broken, "not a program").expect("writes");
    install(&broken, program);
    refused("does not run");
    std::fs::remove_file(program).expect("removes");
    refused("does not run");
    install(Path::new(env!("CARGO_BIN_EXE_mcrd")), program);
    std::fs::write(mcrd.config(), "{ nonsense }").expect("writes");
    refused("the configuration has mistakes");
    let elsewhere =
        format!(r#"{{ control: {{ socket: "/nonexistent/control.sock" }}, rules: [ {STAYS} ] }}"#);
    std::fs::write(mcrd.config(), elsewhere).expect("writes");
    refused("another control socket");
}

/// Replaced on disk by the same program again and again; what does not run is refused.
pub(crate) fn again_and_again(lab: &Lab) {
    let line = Line::new(lab);
    let program = lab.directory().join("mcrd");
    install(Path::new(env!("CARGO_BIN_EXE_mcrd")), &program);
    let mcrd = Relay::of_program(&line.relay, lab.directory(), &program, &file(0));
    mcrd.add(
        "--name runtime --input-interface in0 --input-group 239.1.1.3 --input-port 5000 \
         --outputs 239.2.2.4:6000:out0",
    );
    mcrd.wait_all_active(3);
    let (control, plane) = (pid_of(&mcrd), mcrd.plane_pid());
    let mut watch = Rounds::begin(&line.relay, plane);
    let stream = stream(&line, 20_000);
    refusals(lab, &mcrd, &program);
    assert_eq!((pid_of(&mcrd), mcrd.plane_pid()), (control, plane));
    std::fs::write(mcrd.config(), file(1)).expect("writes");
    let (mut before, mut slowest) = (None, 0);
    for round in 0..if verify() { 100 } else { 5 } {
        install(Path::new(env!("CARGO_BIN_EXE_mcrd")), &program);
        let sent = sent_by(&mcrd, "stays");
        let upgrade = mcrd.json(&["upgrade"]);
        assert_eq!(upgrade["pid"].as_i64(), Some(control.into()), "{upgrade}");
        slowest = slowest.max(upgrade["milliseconds"].as_u64().expect("a number"));
        assert_eq!(pid_of(&mcrd), control, "in round {round}");
        runs(control, &program);
        mcrd.wait_all_active(3);
        assert!(sent_by(&mcrd, "stays") >= sent, "the counters go on");
        watch.over(mcrd.plane_pid());
        let now = Footprint::of(control).descriptors;
        // A connection of mcrctl that ends.
        let before = before.get_or_insert(now);
        assert!(now <= *before + 2, "descriptors of control: {before} {now}");
    }
    let count = stream.end("control was upgraded");
    assert_eq!(sent_by(&mcrd, "stays"), count);
    println!(
        "control was upgraded in {slowest} ms at most; {count} datagrams, none lost or doubled"
    );
    let log = mcrd.stderr();
    assert_eq!(log.matches("data plane started").count(), 1, "{log}");
    assert!(!log.contains("data plane died"), "{log}");
    watch.end("control was upgraded");
    mcrd.stop();
    assert!(!Path::new(&format!("/proc/{plane}")).exists(), "nothing is left behind");
}

/// Where an earlier `mcrd` is, if one is given.
pub(crate) fn previous() -> Option<PathBuf> {
    std::env::var_os("MCR_PREVIOUS").map(|directory| Path::new(&directory).join("mcrd"))
}

/// From an earlier program to this one, while the earlier data plane goes on.
pub(crate) fn from_previous(lab: &Lab) {
    let previous = previous().expect("MCR_PREVIOUS is set where this runs");
    let line = Line::new(lab);
    let program = lab.directory().join("mcrd");
    for round in 0..if verify() { 20 } else { 3 } {
        install(&previous, &program);
        let mcrd = Relay::of_program(&line.relay, lab.directory(), &program, &file(round));
        mcrd.wait_all_active(2);
        let (control, plane) = (pid_of(&mcrd), mcrd.plane_pid());
        runs(control, &program);
        let members = Joined::now(&line.relay);
        let stream = stream(&line, 20_000);
        install(Path::new(env!("CARGO_BIN_EXE_mcrd")), &program);
        mcrd.json(&["upgrade"]);
        assert_eq!((pid_of(&mcrd), mcrd.plane_pid()), (control, plane), "in round {round}");
        runs(control, &program);
        mcrd.wait_all_active(2);
        let sent = sent_by(&mcrd, "stays");
        wait_for("traffic flows", SOON, || match sent_by(&mcrd, "stays") {
            now if now > sent => Ok(()),
            now => Err(now),
        });
        let count = stream.end("from the earlier control to this one");
        assert_eq!(sent_by(&mcrd, "stays"), count, "the counters go on");
        assert_eq!(Joined::now(&line.relay), members);
        println!("from {}: {count} datagrams, none lost or doubled", previous.display());
        mcrd.stop();
    }
}
