//! Copies that do not leave: each has its reason.

use super::*;

#[test]
fn each_refusal_of_the_kernel_has_its_name() {
    let rows = [
        (libc::EAGAIN, DropReason::SendBufferFull),
        (libc::ENOBUFS, DropReason::TransmitQueueFull),
        (libc::EMSGSIZE, DropReason::MessageSize),
        (libc::EPERM, DropReason::Filtered),
        (libc::EACCES, DropReason::Filtered),
        (libc::ECONNREFUSED, DropReason::Unreachable),
        (libc::EHOSTUNREACH, DropReason::Unreachable),
        (libc::EHOSTDOWN, DropReason::Unreachable),
        (libc::ENETUNREACH, DropReason::NoRoute),
        (libc::ENETDOWN, DropReason::InterfaceDown),
        (libc::ENODEV, DropReason::NoInterface),
        (libc::ENXIO, DropReason::NoInterface),
        (libc::EADDRNOTAVAIL, DropReason::NoAddress),
        (libc::EIO, DropReason::SendError),
    ];
    for (errno, reason) in rows {
        let turns = vec![start(vec![to(4, Ttl::Keep)]), one(9), one(9)];
        let outcome = run(turns, |_| Answer::Errno(errno));
        let output = outcome.output(0);
        assert_eq!(output.drops.iter().collect::<Vec<_>>(), [(reason, 2)], "errno {errno}");
        assert_eq!((output.wanted, output.sent, output.bytes), (2, 0, 0));
        assert_eq!(reason.stage(), DropStage::Output);
        // What may be the answer to an earlier send is repeated once.
        let repeated = matches!(
            reason,
            DropReason::Unreachable | DropReason::NoRoute | DropReason::MessageSize
        );
        assert_eq!(outcome.report.worker.sends, if repeated { 4 } else { 2 }, "errno {errno}");
    }
}

#[test]
fn what_the_table_blocks_is_counted_and_not_sent() {
    let all = DropReason::ALL.iter().copied().filter(|r| r.stage() == DropStage::Output);
    let all: Vec<DropReason> = all.collect();
    let actions: Vec<Action> = all.iter().map(|&reason| Action::Drop(reason)).collect();
    let frame = packet(9, group(1), 9, &[1; 25]);
    let turns = vec![start(actions), frames(vec![(0, super_frame(10), frame)])];
    let outcome = run(turns, |_| panic!("nothing is sent"));
    for (slot, reason) in (0..).zip(all) {
        let output = outcome.output(slot);
        assert_eq!((output.wanted, output.drops.get(reason)), (3, 3));
    }
}

#[test]
fn a_send_that_is_not_queued_is_counted() {
    let outcome = run(vec![start(vec![to(4, Ttl::Keep)]), one(9)], |_| Answer::Unqueued);
    let output = outcome.output(0);
    assert_eq!((output.wanted, output.drops.get(DropReason::SendError)), (1, 1));
}

#[test]
fn a_unicast_send_refused_for_an_earlier_one_is_repeated_once() {
    for (refusals, expected_sent, answers) in [(0, 1, 1), (1, 1, 2), (2, 0, 2), (9, 0, 2)] {
        let mut left = refusals;
        let outcome = run(vec![start(vec![unicast()]), one(9)], |_| {
            if left == 0 {
                return Answer::Sent;
            }
            left -= 1;
            Answer::Errno(libc::ECONNREFUSED)
        });
        let output = outcome.output(0);
        assert_eq!((output.wanted, output.sent), (1, expected_sent));
        assert_eq!(output.drops.get(DropReason::Unreachable), 1 - expected_sent);
        assert_eq!(outcome.report.worker.sends, answers, "answers of the kernel");
    }
    // Another refusal is not of that kind.
    let turns = vec![start(vec![unicast()]), one(9)];
    let outcome = run(turns, |_| Answer::Errno(libc::EAGAIN));
    assert_eq!(outcome.report.worker.sends, 1);
}
