//! The instruments of the benchmark that need no relay: they notice what they are there to notice, and
//! the sender sends what it says.

#[path = "../benches/relay/arrivals.rs"]
mod arrivals;
#[path = "../benches/relay/frames.rs"]
mod frames;
#[path = "../benches/relay/payload.rs"]
mod payload;
#[path = "../benches/relay/search.rs"]
mod search;
#[path = "../benches/relay/statistics.rs"]
mod statistics;
#[path = "../benches/relay/tally.rs"]
mod tally;
#[path = "../benches/relay/xdp/mod.rs"]
mod xdp;

mod payload_tests {
    use crate::payload::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { flow: 63, sequence: 1 << 40, sent_at: 123_456_789_012 };
        let mut payload = blank(1400);
        payload[..STAMP_LEN].copy_from_slice(&stamp.bytes());
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert!(is_intact(&payload));
        payload[1399] ^= 1;
        assert!(!is_intact(&payload));
        payload[0] ^= 1;
        assert_eq!(Stamp::read(&payload), None);
        assert_eq!(Stamp::read(&payload[..23]), None);
    }
}

mod frames_tests {
    use crate::frames::*;
    use crate::payload::{self, Stamp};
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use std::net::Ipv4Addr;

    #[test]
    fn frames_are_what_an_independent_parser_reads() {
        let source = Ipv4Addr::new(10, 1, 0, 10);
        let flows = Flows { source, group: Ipv4Addr::new(239, 129, 0, 255), port: 5000, count: 3 };
        for len in [24, 25, 1400] {
            let mut frames = Frames::new(&flows, [2, 0, 0, 0, 0, 1], len, 2);
            for flow in 0..3 {
                let stamp = Stamp { flow, sequence: 0xffff_0000_1234, sent_at: u64::MAX };
                frames.stamp(1, &stamp);
                let frame = &frames.slots()[1];
                let parsed = SlicedPacket::from_ethernet(frame).expect("a frame");
                let Some(NetSlice::Ipv4(ip)) = parsed.net else { panic!("IPv4") };
                let header = ip.header().to_header();
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                let group = flows.group(flow);
                assert_eq!(ip.header().destination_addr(), group);
                let [_, high, middle, low] = group.octets();
                assert_eq!(frame[..6], [1, 0, 0x5e, high & 127, middle, low]);
                let Some(TransportSlice::Udp(udp)) = parsed.transport else { panic!("UDP") };
                let sum = udp.to_header().calc_checksum_ipv4(&header, udp.payload());
                assert_eq!(sum.expect("short"), udp.checksum(), "flow {flow}, {len} bytes");
                assert_eq!(Stamp::read(udp.payload()), Some(stamp));
                assert!(payload::is_intact(udp.payload()));
            }
        }
    }
}

mod tally_tests {
    use crate::tally::*;

    fn of(arrivals: &[(u64, u64)]) -> (u64, u64, u64) {
        let mut tally = Tally::default();
        for &(first, count) in arrivals {
            tally.came(first, count);
        }
        (tally.lost(10), tally.duplicated, tally.reordered)
    }

    #[test]
    fn what_is_dropped_doubled_or_reordered_is_noticed() {
        assert_eq!(of(&[(0, 4), (4, 1), (5, 5)]), (0, 0, 0));
        // One is missing: at the start, in the middle, at the end.
        assert_eq!(of(&[(1, 9)]), (1, 0, 0));
        assert_eq!(of(&[(0, 4), (5, 5)]), (1, 0, 0));
        assert_eq!(of(&[(0, 9)]), (1, 0, 0));
        // One came twice: at once, later, and as part of a train.
        assert_eq!(of(&[(0, 4), (3, 1), (4, 6)]), (0, 1, 0));
        assert_eq!(of(&[(0, 10), (0, 1)]), (0, 1, 0));
        assert_eq!(of(&[(0, 6), (4, 6)]), (0, 2, 0));
        // One after a later one; a train after a later one.
        assert_eq!(of(&[(0, 4), (5, 1), (4, 1), (6, 4)]), (0, 0, 1));
        assert_eq!(of(&[(5, 5), (0, 5)]), (0, 0, 5));
        assert_eq!(of(&[(0, 2), (5, 5), (3, 1), (3, 1)]), (2, 1, 1));
        assert_eq!(of(&[]), (10, 0, 0));
    }

    #[test]
    fn gaps_are_bounded_and_still_lost() {
        let mut tally = Tally::default();
        let count = MAX_GAPS as u64 + 1000;
        for number in 0..count {
            tally.came(2 * number + 1, 1);
        }
        assert_eq!(tally.gaps.len(), MAX_GAPS);
        assert_eq!(tally.lost(2 * count), count);
    }
}

mod statistics_tests {
    use crate::statistics::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let sample = |values: &[f64]| Sample { values: values.to_vec() };
        assert_eq!(sample(&[3.0, 1.0, 9.0]).median(), Some(3.0));
        assert_eq!(sample(&[4.0, 1.0, 9.0, 2.0]).median(), Some(3.0));
        assert_eq!(sample(&[4.0, 1.0, 9.0]).spread(), Some((1.0, 9.0)));
        assert_eq!((sample(&[]).median(), sample(&[]).spread()), (None, None));
    }

    #[test]
    fn the_slope_is_that_of_the_line() {
        let points: Vec<_> = (0..10).map(|x| (f64::from(x), 5.0 + 2.0 * f64::from(x))).collect();
        assert!((slope(&points) - 2.0).abs() < 1e-9);
        assert_eq!(slope(&[(1.0, 1.0)]), 0.0);
        assert_eq!(slope(&[]), 0.0);
    }
}

mod search_tests {
    use crate::search::*;

    /// A system that takes `limit`, behind a generator that sends at most `most`.
    fn find(limit: f64, most: f64) -> (Found, u32) {
        let mut trials = 0;
        let search = Search { first: 50_000.0, allowed: 0.001, precision: 0.05 };
        let found = search.run(|rate| {
            trials += 1;
            let sent_rate = rate.min(most);
            let loss = (1.0 - limit / sent_rate).max(0.0);
            Probe { sent_rate, loss, sender_at_end: rate >= most }
        });
        (found, trials)
    }

    #[test]
    fn the_limit_is_found_in_few_trials() {
        for limit in [1_000.0, 49_000.0, 50_000.0, 263_000.0, 5_000_000.0] {
            let (found, trials) = find(limit, f64::INFINITY);
            assert!(found.rate <= limit * 1.001 && found.rate >= limit * 0.95, "{found:?}");
            assert!(!found.generator_bound && trials < 24, "{trials} trials");
        }
    }

    #[test]
    fn a_generator_at_its_end_is_named() {
        let (found, _) = find(1_000_000.0, 600_000.0);
        assert_eq!(found, Found { rate: 600_000.0, generator_bound: true, held_up: false });
        // The system's limit is lower than the generator's, though the next step is beyond both.
        let (found, _) = find(500_000.0, 600_000.0);
        assert!(!found.generator_bound && found.rate > 475_000.0, "{found:?}");
    }

    #[test]
    fn one_spoilt_trial_changes_nothing() {
        let mut trials = 0;
        let search = Search { first: 50_000.0, allowed: 0.001, precision: 0.05 };
        let found = search.run(|rate| {
            trials += 1;
            let spoilt = trials == 2 || trials == 5;
            let limit = if spoilt { 1_000.0 } else { 300_000.0 };
            let loss = (1.0 - limit / rate).max(0.0);
            Probe { sent_rate: rate, loss, sender_at_end: false }
        });
        assert!(found.rate > 285_000.0 && found.rate <= 300_300.0, "{found:?}");
    }

    #[test]
    fn a_sender_that_is_held_up_is_not_at_its_end_and_ends_the_search() {
        let mut trials = 0;
        let search = Search { first: 50_000.0, allowed: 0.001, precision: 0.05 };
        let found = search.run(|rate| {
            trials += 1;
            let sent_rate = 0.9 * rate;
            let loss = if rate > 300_000.0 { 0.5 } else { 0.0 };
            Probe { sent_rate, loss, sender_at_end: false }
        });
        assert!(
            !found.generator_bound && found.held_up && found.rate >= 150_000.0 && trials < 20,
            "{found:?}"
        );
    }

    #[test]
    fn nothing_passes() {
        assert_eq!(
            find(0.0, f64::INFINITY).0,
            Found { rate: 0.0, generator_bound: false, held_up: false }
        );
    }
}

mod arrivals_tests {
    use crate::arrivals::{Arrivals, Window};
    use crate::frames::{Flows, Frames, HEADERS};
    use crate::payload::Stamp;
    use mcr::sys::capture_ring::Seen;
    use std::net::Ipv4Addr;

    const SIZE: usize = 1400;
    const REAL: u64 = 1_000_000;

    /// Two outputs, two flows; each arrival is output, flow, number, datagrams in the frame, bytes of
    /// each.
    fn of(all: &[(usize, u32, u64, u16, usize)]) -> Arrivals {
        let source = Ipv4Addr::new(10, 1, 0, 10);
        let flows = Flows { source, group: Ipv4Addr::new(239, 1, 0, 1), port: 5000, count: 4 };
        let mut frames = Frames::new(&flows, [2; 6], SIZE, 1);
        let mut arrivals = Arrivals::new(2, 2);
        for &(output, flow, sequence, count, size) in all {
            frames.stamp(0, &Stamp { flow, sequence, sent_at: 5_000 });
            let mut vnet = [0; 10];
            if count > 1 {
                vnet[1] = 5;
                vnet[4..6].copy_from_slice(&u16::try_from(size).expect("short").to_ne_bytes());
            }
            let len = HEADERS + usize::from(count) * size;
            let seen = Seen {
                at: REAL + 25_000,
                ifindex: 0,
                len: u32::try_from(len).expect("short"),
                vnet,
                head: &frames.slots()[0][..128],
            };
            arrivals.frame(&seen, Some(output).filter(|output| *output < 2), SIZE, REAL);
        }
        arrivals
    }

    #[test]
    fn a_super_frame_counts_as_its_datagrams() {
        let arrivals = of(&[(1, 1, 0, 40, SIZE), (1, 1, 40, 1, SIZE), (1, 1, 41, 2, SIZE)]);
        assert_eq!((arrivals.frames, arrivals.super_frames), (3, 2));
        assert_eq!((arrivals.wrong_size, arrivals.foreign), (0, 0));
        // What came at the second output is not the first one's.
        assert_eq!((arrivals.longest_frame, arrivals.window.most), (40, 0));
        let tally = &arrivals.output(1)[1];
        assert_eq!((tally.unique, tally.duplicated, tally.reordered), (43, 0, 0));
        assert_eq!((arrivals.latency.len(), arrivals.latency.max() / 100), (43, 200));
        // The other flow and the other output got nothing.
        assert_eq!(arrivals.output(1)[0].unique + arrivals.output(0)[1].unique, 0);
    }

    #[test]
    fn the_most_within_a_window_is_known() {
        let mut window = Window::default();
        for (at, count, most) in
            [(0, 2, 2), (99_999, 3, 5), (100_000, 1, 5), (199_998, 4, 8), (500_000, 7, 8)]
        {
            window.came(at, count);
            assert_eq!(window.most, most, "at {at} ns");
        }
        assert_eq!(of(&[(0, 0, 0, 9, SIZE)]).window.most, 9);
    }

    #[test]
    fn what_is_lost_from_a_train_or_doubled_with_it_is_noticed() {
        let arrivals = of(&[(0, 0, 0, 10, SIZE), (0, 0, 11, 10, SIZE), (0, 0, 20, 2, SIZE)]);
        let tally = &arrivals.output(0)[0];
        assert_eq!((tally.lost(22), tally.duplicated, tally.reordered), (1, 1, 0));
        let arrivals = of(&[(0, 0, 10, 10, SIZE), (0, 0, 0, 10, SIZE)]);
        let tally = &arrivals.output(0)[0];
        assert_eq!((tally.lost(20), tally.duplicated, tally.reordered), (0, 0, 10));
    }

    #[test]
    fn sizes_and_strangers_are_noticed() {
        let arrivals = of(&[(0, 0, 0, 1, SIZE - 1), (0, 0, 1, 4, SIZE - 2), (0, 0, 5, 1, SIZE)]);
        assert_eq!((arrivals.wrong_size, arrivals.foreign), (5, 0));
        // Only the tap and its thread know these.
        assert_eq!((arrivals.missed, arrivals.cpu), (0, 0));
        // A flow that is not in use, an interface that is none of the outputs.
        let arrivals = of(&[(0, 2, 0, 1, SIZE), (7, 0, 0, 1, SIZE)]);
        assert_eq!((arrivals.wrong_size, arrivals.foreign), (0, 2));
    }
}

mod xdp_tests {
    use crate::frames::{self, Flows};
    use crate::payload::{self, STAMP_LEN, Stamp};
    use crate::xdp::program::Schedule;
    use crate::xdp::{LiveFrames, MAX_BURST, Sending};
    use nix::net::if_::if_nametoindex;
    use nix::sys::socket::{setsockopt, sockopt};
    use std::net::{Ipv4Addr, UdpSocket};
    use std::process::Command;
    use std::time::Duration;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
    const INPUT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 0, 255);
    const FLOWS: u32 = 3;

    fn run(command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = Command::new(words[0]).args(&words[1..]).output().expect("it starts");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A socket in a namespace of its own, behind a link from this thread's one, that joined every
    /// flow's group. The namespace and the link end with it.
    fn receiver() -> UdpSocket {
        let (made, made_receiver) = std::sync::mpsc::channel();
        let (linked, linked_receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("CLONE_NEWNET");
            made.send(nix::unistd::gettid()).expect("the sender waits");
            linked_receiver.recv().expect("the sender makes the link");
            run(&format!("ip address add {INPUT}/24 dev in0"));
            run("ip link set in0 up");
            // A veth that is down takes it, and does not tell its peer.
            run("ethtool -K in0 gro on");
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5000)).expect("a free port");
            for flow in 0..FLOWS {
                let group = Ipv4Addr::from(u32::from(GROUP) + flow);
                socket.join_multicast_v4(&group, &INPUT).expect("joined");
            }
            setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).expect("a large buffer");
            socket
        });
        let id = made_receiver.recv().expect("the receiver's thread");
        run(&format!("ip link add s0 type veth peer name in0 netns {id}"));
        run(&format!("ip address add {SOURCE}/24 dev s0"));
        run("ip link set s0 up");
        linked.send(()).expect("the receiver waits");
        // Its namespace lives on with its socket.
        thread.join().expect("the receiver")
    }

    /// Runs a test of the sender in a namespace of its own, with a receiver in another one.
    fn with_receiver(test: impl FnOnce(u32, UdpSocket) + Send) {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root, to make a network namespace");
            return;
        }
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("CLONE_NEWNET");
                run("ip link set lo up");
                let socket = receiver();
                let ifindex = if_nametoindex("s0").expect("s0");
                if let Err(reason) = LiveFrames::try_out(ifindex) {
                    println!("skipped: the kernel has no live frames: {reason}");
                    return;
                }
                test(ifindex, socket);
            });
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn flows() -> Flows {
        Flows { source: SOURCE, group: GROUP, port: 5000, count: FLOWS }
    }

    fn send(ifindex: u32, len: usize, schedule: Schedule) -> Sending {
        let heads = frames::heads(&flows(), [2, 0, 0, 0, 0, 1], len);
        let sender = LiveFrames::open(ifindex, &heads, len, schedule).expect("a valid program");
        sender.run(|| false).expect("live frames")
    }

    /// What waits at the socket: stamps, each of an intact datagram of that length. The kernel
    /// gives a socket only what has a right checksum.
    fn received(socket: &UdpSocket, len: usize) -> Vec<Stamp> {
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        let mut buffer = [0; 2048];
        std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|got| buffer[..got].to_vec()))
            .map(|payload| {
                assert_eq!(payload.len(), len);
                assert!(payload::is_intact(&payload));
                Stamp::read(&payload).expect("one of ours")
            })
            .collect()
    }

    #[test]
    fn a_socket_gets_every_datagram_of_every_flow_in_order_and_in_bursts() {
        with_receiver(|ifindex, socket| {
            // Not a multiple of the burst, and lengths that are odd and least.
            for (count, burst, len) in [(1000, 32, 1400), (1001, 8, 25), (50, 1, STAMP_LEN)] {
                let (rate, limit) = (50_000.0, 10_000_000_000);
                let schedule =
                    Schedule { burst, flows: FLOWS, count, rate, limit, catch_up: 1_000_000_000 };
                let sending = send(ifindex, len, schedule);
                assert_eq!(sending.count, count);
                let stamps = received(&socket, len);
                assert_eq!(stamps.len() as u64, count, "bursts of {burst}, {len} bytes");
                for (number, stamp) in (0..).zip(&stamps) {
                    let expected = (number % u64::from(FLOWS), number / u64::from(FLOWS));
                    assert_eq!((u64::from(stamp.flow), stamp.sequence), expected);
                }
                // All of a burst have its time, and it was not sent before it was due.
                let bursts: Vec<_> = stamps.chunks(burst as usize).collect();
                let first = bursts[0][0].sent_at;
                for (number, burst_of) in bursts.iter().enumerate() {
                    let at = burst_of[0].sent_at;
                    assert!(burst_of.iter().all(|stamp| stamp.sent_at == at));
                    let due = (number * burst as usize) as f64 * 1e9 / rate;
                    assert!((at - first) as f64 >= due - 2.0, "burst {number}");
                }
                assert!(sending.elapsed >= bursts[bursts.len() - 1][0].sent_at - first);
            }
        });
    }

    #[test]
    fn it_ends_when_its_time_is_over_and_leaves_out_what_it_is_late() {
        with_receiver(|ifindex, socket| {
            // A rate that no machine reaches: without catching up, what is not due is not sent.
            let limit = 50_000_000;
            let (rate, count) = (1e9, 1 << 40);
            let schedule =
                Schedule { burst: MAX_BURST, flows: FLOWS, count, rate, limit, catch_up: 1000 };
            let sending = send(ifindex, STAMP_LEN, schedule);
            assert!(sending.count > 0 && sending.count < count, "{sending:?}");
            assert!(sending.elapsed >= limit, "{sending:?}");
            drop(received(&socket, STAMP_LEN));
            // Slow enough for waiting to be most of it.
            let schedule = Schedule { burst: 1, rate: 100.0, count: 5, catch_up: 0, ..schedule };
            let sending = send(ifindex, STAMP_LEN, Schedule { limit: 1_000_000_000, ..schedule });
            assert_eq!(sending.count, 5);
            assert!(sending.elapsed >= 40_000_000 && sending.idle > 10_000_000, "{sending:?}");
            assert_eq!(received(&socket, STAMP_LEN).len(), 5);
        });
    }

    #[test]
    fn the_kernel_says_what_is_wrong_with_a_program() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let mut code = crate::xdp::assembler::Assembler::default();
        code.end();
        let error = crate::xdp::bpf::Program::load(&code.finish()).err().expect("R0 is not set");
        assert!(error.to_string().contains("R0"), "{error}");
    }
}
