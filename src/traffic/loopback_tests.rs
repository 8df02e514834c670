//! Sender and receiver against each other over the loopback interface.

use crate::traffic::args::{Cli, Command, RecvArgs, SendArgs};
use crate::traffic::recv::Receiver;
use crate::traffic::report::{RecvReport, SendReport};
use crate::traffic::send::Sender;
use crate::traffic::stop::StopSignal;
use std::ffi::OsString;

fn send_args(options: &str, port: u16) -> SendArgs {
    let line = format!("mcrgen send --port {port} {options}");
    match Cli::parse_line(line.split_whitespace().map(OsString::from)) {
        Ok(Cli { command: Command::Send(args) }) => args,
        other => panic!("{line}: {other:?}"),
    }
}

/// Arguments of a receiver at a port that the kernel chooses.
fn recv_args(options: &str) -> RecvArgs {
    let line = format!("mcrgen recv --port 1 {options}");
    match Cli::parse_line(line.split_whitespace().map(OsString::from)) {
        Ok(Cli { command: Command::Recv(args) }) => RecvArgs { port: 0, ..args },
        other => panic!("{line}: {other:?}"),
    }
}

/// Receives in a thread while this one sends.
fn exchange(recv: &str, send: &str) -> (SendReport, RecvReport) {
    let receiver = Receiver::open(&recv_args(recv)).expect("the receiver opens");
    let address = receiver.local_address().expect("getsockname").expect("IPv4");
    std::thread::scope(|scope| {
        let received = scope.spawn(|| receiver.run(&StopSignal::never()));
        let sender = Sender::open(&send_args(send, address.port())).expect("the sender opens");
        let sent = sender.run(&StopSignal::never()).expect("the sender runs");
        let received = received.join().expect("no panic").expect("the receiver runs");
        (sent, received)
    })
}

fn assert_all_came(sent: &SendReport, received: &RecvReport, count: u64) {
    assert_eq!((sent.sent, sent.errors, sent.uncertain), (count, 0, 0), "{sent:?}");
    assert!(received.is_clean(), "{received:?}");
    assert_eq!((received.total, received.unique), (count, count), "{received:?}");
    assert_eq!((received.foreign, received.unwanted, received.socket_dropped), (0, 0, 0));
    assert_eq!(received.bytes, sent.bytes);
}

const UNTIL_2000: &str = "--count 2000 --expect 2000 --duration 20s";

#[test]
fn unicast_arrives_whole() {
    let (sent, received) = exchange(
        &format!("--group 127.0.0.1 {UNTIL_2000}"),
        "--group 127.0.0.1 --count 2000 --rate 20000 --burst 10 --size-range 40-1400",
    );
    assert_all_came(&sent, &received, 2000);
    let [flow] = &received.flows[..] else { panic!("one flow: {received:?}") };
    assert_eq!((flow.first_sequence, flow.last_sequence, flow.received), (0, 1999, 2000));
    // 2,000 at 20,000 a second, the last slot not waited for.
    assert!(sent.elapsed_seconds > 0.09, "{sent:?}");
    assert!(received.latency_microseconds.is_some_and(|latency| latency.p50 < 1e6));
}

#[test]
fn super_datagrams_arrive_as_datagrams() {
    let (sent, received) = exchange(
        &format!("--group 127.0.0.1 {UNTIL_2000}"),
        "--group 127.0.0.1 --count 2000 --rate 50000 --gso --size 1000",
    );
    assert_all_came(&sent, &received, 2000);
    assert!(sent.super_datagrams > 20, "{sent:?}");
    assert_eq!(received.gro_trains, 0);
}

#[test]
fn super_datagrams_arrive_as_trains_with_gro() {
    let (sent, received) = exchange(
        &format!("--group 127.0.0.1 --gro {UNTIL_2000}"),
        "--group 127.0.0.1 --count 2000 --rate 50000 --gso --size-range 40-1400 --train 1-64",
    );
    assert_all_came(&sent, &received, 2000);
    assert!(received.gro_trains > 20, "{received:?}");
}

#[test]
fn many_groups_are_joined_with_default_limits() {
    // 50 groups: three sockets hold them where one may have 20 memberships.
    let (sent, received) = exchange(
        &format!("--interface lo --group 239.254.7.1 --groups 50 {UNTIL_2000}"),
        "--interface lo --group 239.254.7.1 --groups 50 --count 2000 --rate 20000 --loop",
    );
    assert_all_came(&sent, &received, 2000);
    assert_eq!(received.flows.len(), 50);
    assert!(received.flows.iter().all(|flow| flow.received == 40), "{received:?}");
    assert!(sent.groups.iter().all(|group| group.sent == 40), "{sent:?}");
}

#[test]
fn a_source_specific_join_gets_its_source_only() {
    let options =
        "--interface lo --group 232.254.7.1 --source 127.0.0.2 --idle 300ms --duration 20s";
    let receiver = Receiver::open(&recv_args(options)).expect("the receiver opens");
    let port = receiver.local_address().expect("getsockname").expect("IPv4").port();
    std::thread::scope(|scope| {
        let received = scope.spawn(|| receiver.run(&StopSignal::never()));
        for (source, count) in [("127.0.0.3", 30), ("127.0.0.2", 20)] {
            let options = format!(
                "--interface lo --source-address {source} --group 232.254.7.1 --count {count} --rate 0 --loop"
            );
            let sender = Sender::open(&send_args(&options, port)).expect("the sender opens");
            let sent = sender.run(&StopSignal::never()).expect("the sender runs");
            assert_eq!(sent.sent, count);
        }
        let report = received.join().expect("no panic").expect("the receiver runs");
        assert_eq!(report.total, 20, "{report:?}");
        assert!(report.is_clean());
    });
}

#[test]
fn a_burst_beyond_the_buffer_is_the_receivers_own_loss() {
    let receiver = Receiver::open(&recv_args(
        "--group 127.0.0.1 --receive-buffer 10000 --expect 500 --idle 100ms --duration 20s",
    ))
    .expect("the receiver opens");
    let port = receiver.local_address().expect("getsockname").expect("IPv4").port();
    // Nobody receives while this is sent.
    let sender = Sender::open(&send_args("--group 127.0.0.1 --count 500 --rate 0", port));
    let sent = sender.expect("opens").run(&StopSignal::never()).expect("runs");
    assert_eq!(sent.sent, 500);
    let report = receiver.run(&StopSignal::never()).expect("runs");
    assert!(report.lost > 0, "{report:?}");
    assert_eq!(report.socket_dropped, report.lost);
}

#[test]
fn the_ready_file_names_the_address() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ready");
    std::fs::write(&path, "of an earlier run").expect("write");
    let options = format!("--group 127.0.0.1 --ready-file {}", path.display());
    let receiver = Receiver::open(&recv_args(&options)).expect("the receiver opens");
    let address = receiver.local_address().expect("getsockname").expect("IPv4");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert_eq!(text, format!("{address} sockets=1\n"));
    assert_eq!(std::fs::read_dir(directory.path()).expect("list").count(), 1);
}

#[test]
fn a_refusal_is_told_in_words() {
    let args = send_args("--group 255.255.255.255 --count 3 --rate 0 --interface lo", 9);
    let sent = Sender::open(&args).expect("opens").run(&StopSignal::never()).expect("runs");
    assert_eq!((sent.sent, sent.errors), (0, 3));
    let error = sent.last_error.expect("a reason");
    assert!(error.contains("255.255.255.255:9") && error.contains("broadcast"), "{error}");
}
