//! Nonsense on the control socket: the stream does not notice, and real requests are answered.
//!
//! ```text
//!  +----------------+        +-------------------------+        +---------------+
//!  | source         |        | relay    control.sock <-- garbage | receiver      |
//!  | src0           |--------| in0                out0 |--------| rcv0          |
//!  | 10.1.0.10/24   |  veth  | 10.1.0.1/24    10.2.0.1 |  veth  | 10.2.0.9/24   |
//!  +----------------+        +-------------------------+        +---------------+
//! ```

use crate::lab::{Lab, Receive, Relay, SOON, Send, rule, wait_for};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub(crate) fn stream_unharmed(lab: &Lab) {
    let [source, relay, receiver] = ["source", "relay", "receiver"].map(|name| lab.namespace(name));
    lab.veth((&source, "src0"), (&relay, "in0"), 1500);
    lab.veth((&relay, "out0"), (&receiver, "rcv0"), 1500);
    source.address("src0", "10.1.0.10/24");
    relay.address("in0", "10.1.0.1/24");
    relay.address("out0", "10.2.0.1/24");
    receiver.address("rcv0", "10.2.0.9/24");
    let mcrd = Relay::start(&relay, lab.directory());
    mcrd.add(
        "--name main --input-interface in0 --input-group 239.1.1.1 --input-port 5000 \
         --outputs 239.2.2.2:6000:out0",
    );
    mcrd.wait_state("main", "active");
    let member = Receive {
        interface: "rcv0",
        at: ("239.2.2.2", 6000),
        groups: 1,
        count: None,
        duration: SOON * 12,
    };
    let member = member.start(&receiver);
    // It sends until it is stopped below.
    let stream = Send {
        interface: "src0",
        to: ("239.1.1.1", 5000),
        rate: 10_000,
        count: 1_000_000_000,
        stream: 1,
        args: "--size 700",
    }
    .start(&source);
    let before = rule(&mcrd.json(&["list"]), "main")["id"].clone();

    garbage(mcrd.socket());
    answers(&mcrd, "after garbage");
    let _half = half_a_request(mcrd.socket());
    let _slow = slow_request(mcrd.socket());
    answers(&mcrd, "beside half a request and a slow one");
    ten_megabytes(mcrd.socket());
    answers(&mcrd, "after 10 MB");
    let idle = thousand_connections(mcrd.socket());
    assert!(idle.len() > 100, "the daemon took only {} connections", idle.len());
    drop(idle);
    wait_for("a ping is answered after 1,000 connections", SOON, || {
        let output = mcrd.ctl(&["ping"]);
        if output.status.success() { Ok(()) } else { Err(format!("{output:?}")) }
    });

    assert_eq!(rule(&mcrd.json(&["list"]), "main")["id"], before, "nothing changed");
    drop(stream);
    member.report().assert_flawless("the stream beside all that");
    mcrd.stop();
}

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("the control socket takes connections");
    stream.set_read_timeout(Some(SOON)).expect("a time-out");
    stream.set_write_timeout(Some(SOON)).expect("a time-out");
    stream
}

fn answers(mcrd: &Relay, when: &str) {
    let output = mcrd.ctl(&["ping"]);
    assert!(output.status.success(), "{when}: {}", String::from_utf8_lossy(&output.stderr));
}

fn garbage(socket: &Path) {
    let noise: Vec<u8> =
        (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for bytes in [&noise[..], b"\0\0\0\0", b"\r\n\r\n", b"HELLO /\r\n\r\n", b"{\"ping\":null}\n"] {
        let mut stream = connect(socket);
        // The daemon may hang up while we still write.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || text.starts_with("HTTP/1.1 4"),
            "garbage was answered with: {text}"
        );
    }
}

fn half_a_request(socket: &Path) -> UnixStream {
    let mut stream = connect(socket);
    stream.write_all(b"POST /v1/rules HTTP/1.1\r\nHost: mcr\r\nContent-Le").expect("taken");
    stream
}

fn slow_request(socket: &Path) -> UnixStream {
    let mut stream = connect(socket);
    let head = b"POST /v1/rules HTTP/1.1\r\nHost: mcr\r\nContent-Type: application/json\r\n\
                 Content-Length: 100\r\n\r\n{";
    stream.write_all(head).expect("taken");
    stream
}

fn ten_megabytes(socket: &Path) {
    const SIZE: usize = 10 << 20;
    let mut stream = connect(socket);
    let head = format!(
        "POST /v1/rules HTTP/1.1\r\nHost: mcr\r\nContent-Type: application/json\r\n\
         Content-Length: {SIZE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("taken");
    // It may refuse before the end.
    let _ = stream.write_all(&vec![b'['; SIZE]);
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_ok() {
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
}

fn thousand_connections(socket: &Path) -> Vec<UnixStream> {
    let mut open = Vec::new();
    for _ in 0..1_000 {
        // A full backlog answers EAGAIN on a non-blocking socket; here it would block for good.
        let address = socket2::SockAddr::unix(socket).expect("a short path");
        let stream = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)
            .expect("a socket");
        stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        if stream.connect(&address).is_ok() {
            open.push(UnixStream::from(stream));
        }
    }
    open
}
