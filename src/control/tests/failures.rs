//! Ports that fail, memberships that are refused, workers that die: tried again, nothing forgotten.

use super::*;
use crate::fib::counters::{OutputCounters, PortCounters, RuleCounters};

const SECOND: u64 = 1_000_000_000;

fn failed(port: u32) -> Event {
    Event::PortFailed { port, reason: "no such device".to_owned() }
}

pub(super) fn closed(port: u32, frames: u64, failure: Option<&str>) -> Event {
    let counters = PortCounters { frames, ..PortCounters::default() };
    Event::PortClosed { port, counters, failure: failure.map(str::to_owned) }
}

pub(super) fn report(worker: u32, port: u32, n: u64) -> Event {
    let mut slots = SlotCounters::default();
    slots.rules.push(RuleCounters { datagrams: n, bytes: 10 * n });
    slots.outputs.push(OutputCounters { wanted: n, sent: n, bytes: 10 * n, ..Default::default() });
    let counters = PortCounters { frames: n, datagrams: n, matched: n, ..Default::default() };
    Event::Report(Box::new(WorkerReport {
        worker,
        generation: u64::MAX,
        ports: vec![(port, counters)],
        slots,
        counters: WorkerCounters::default(),
    }))
}

/// Frames of open ports, and of closed ones.
fn frames(core: &Core) -> (Vec<u64>, u64) {
    match core.router.answer(core.now, &Request::Stats) {
        Ok(Reply::Stats(stats)) => {
            (stats.ports.iter().map(|port| port.frames).collect(), stats.closed_ports.frames)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_port_that_cannot_be_opened_is_tried_again_after_a_second() {
    let mut core = Core::new();
    core.now = Time(5 * SECOND);
    core.add(rule("r"));
    core.acknowledge();
    assert_eq!(core.router.next_timeout(), None);
    core.tell(failed(0));
    assert_eq!(core.state("r"), (State::Pending, Some("input: no such device".to_owned())));
    assert_eq!(core.router.next_timeout(), Some(Time(6 * SECOND)));
    core.now = Time(6 * SECOND - 1);
    assert!(core.step(Event::Timeout).is_empty(), "not yet");
    assert_eq!(core.wait(), ["open 1 packet 1 at 0: 239.1.1.1"]);
    assert_eq!(core.now, Time(6 * SECOND));
    assert_eq!((core.state("r").0, core.router.next_timeout()), (State::Active, None));
    // What comes late for the old number does not hit the new one.
    core.tell(failed(0));
    assert_eq!(core.state("r").0, State::Active);
}

#[test]
fn a_port_that_fails_later_keeps_what_it_counted() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.acknowledge();
    core.tell(report(0, 0, 4));
    assert_eq!(frames(&core), (vec![4], 0));
    core.tell(closed(0, 6, Some("network is down")));
    assert_eq!(core.state("r").1, Some("input: network is down".to_owned()));
    assert_eq!(frames(&core), (vec![], 6));
    assert_eq!(core.wait(), ["open 1 packet 1 at 0: 239.1.1.1"]);
    assert_eq!(core.now, Time(SECOND));
    assert_eq!(frames(&core), (vec![0], 6));
}

#[test]
fn a_port_that_is_not_wanted_any_more_is_not_tried_again() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.tell(failed(0));
    let asked = core.step(Event::RemoveRule("r".to_owned()));
    assert_eq!(asked, ["publish 2", "join "], "there is nothing to close");
    assert_eq!(core.router.next_timeout(), None);
}

#[test]
fn a_closed_port_counts_to_the_end() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.tell(report(0, 0, 4));
    core.step(Event::RemoveRule("r".to_owned()));
    let (kernel_received, kernel_dropped) = (10, 3);
    let counters =
        PortCounters { frames: 7, kernel_received, kernel_dropped, ..PortCounters::default() };
    core.tell(Event::PortClosed { port: 0, counters, failure: None });
    assert_eq!(frames(&core), (vec![], 7));
    let Ok(Reply::Stats(stats)) = core.router.answer(core.now, &Request::Stats) else {
        panic!("stats")
    };
    let sums = &stats.closed_ports;
    assert_eq!((sums.ports, sums.kernel_received, sums.kernel_dropped), (1, 10, 3));
}

#[test]
fn a_refused_membership_is_asked_for_again_after_five_seconds() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.acknowledge();
    let wanted = core.router.memberships.first().copied().expect("one");
    let refuse = || Event::Memberships { failed: vec![(wanted, "no buffer".to_owned())] };
    core.tell(refuse());
    let joined = |core: &Core| match core.router.answer(core.now, &Request::Mroute) {
        Ok(Reply::Mroute(mroute)) => {
            let m = &mroute.memberships[0];
            (m.joined, m.reason.clone())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(joined(&core), (false, Some("no buffer".to_owned())));
    assert_eq!(core.router.next_timeout(), Some(Time(5 * SECOND)));
    core.now = Time(5 * SECOND - 1);
    assert!(core.step(Event::Timeout).is_empty(), "not yet");
    assert_eq!(core.wait(), ["join 1:239.1.1.1"]);
    assert_eq!(core.router.next_timeout(), None, "until the answer comes");
    core.tell(refuse());
    assert_eq!(core.router.next_timeout(), Some(Time(10 * SECOND)));
    core.tell(Event::Memberships { failed: Vec::new() });
    assert_eq!(joined(&core), (true, None));
    assert_eq!(core.router.next_timeout(), None);
}

#[test]
fn the_earlier_of_two_times_comes_first() {
    let mut core = Core::new();
    core.add(rule("r"));
    let wanted = core.router.memberships.first().copied().expect("one");
    core.tell(Event::Memberships { failed: vec![(wanted, "no".to_owned())] });
    core.now = Time(2 * SECOND);
    core.tell(failed(0));
    assert_eq!(core.router.next_timeout(), Some(Time(3 * SECOND)));
    assert_eq!(core.wait(), ["open 1 packet 1 at 0: 239.1.1.1"]);
    assert_eq!(core.router.next_timeout(), Some(Time(5 * SECOND)));
}

#[test]
fn a_worker_that_died_keeps_its_ports_and_what_it_counted() {
    let mut core = Core::with_workers(2);
    core.add(rule("r"));
    core.acknowledge();
    core.tell(report(0, 0, 5));
    core.tell(report(1, 99, 2));
    assert!(core.step(died(0)).is_empty(), "nobody is there to be asked");
    assert_eq!(core.state("r").1, Some("input: its worker does not run".to_owned()));
    assert_eq!(core.router.next_timeout(), None, "it is waited for, not for a time");
    assert_eq!(core.status("r").matched.datagrams, 7);
    assert_eq!(frames(&core), (vec![5], 0));
    assert!(core.step(ready(0)).is_empty(), "the data plane has given it all that it had");
    core.acknowledge();
    core.tell(report(0, 0, 6));
    assert_eq!(core.state("r").0, State::Active);
    assert_eq!(core.status("r").matched.datagrams, 13);
    assert_eq!((core.status("r").outputs[0].wanted, frames(&core)), (13, (vec![6], 0)));
}

#[test]
fn a_data_plane_that_died_is_told_everything_again_and_counters_stay() {
    let mut core = Core::with_workers(2);
    core.add(rule("r"));
    core.acknowledge();
    core.tell(report(0, 0, 5));
    let asked = core.step(Event::DataPlaneDied { reason: "killed".to_owned() });
    assert!(asked.is_empty(), "nobody is there to be asked");
    assert_eq!(core.state("r").1, Some("input: its worker does not run".to_owned()));
    assert_eq!(core.status("r").matched.datagrams, 5);
    assert_eq!(frames(&core), (vec![], 5));
    core.router.publish_again();
    assert_eq!(core.step(ready(1)), ["publish 2"]);
    assert_eq!(core.step(ready(0)), ["open 1 packet 1 at 0: 239.1.1.1"]);
    core.tell(report(0, 1, 1));
    assert_eq!((core.state("r").0, core.status("r").matched.datagrams), (State::Active, 6));
    assert_eq!(frames(&core), (vec![1], 5));
}

#[test]
fn a_data_plane_that_is_replaced_keeps_its_ports_and_what_was_counted() {
    let mut core = Core::with_workers(2);
    core.add(rule("r"));
    core.acknowledge();
    core.tell(report(0, 0, 5));
    core.tell(Event::DataPlaneReplaced);
    core.tell(ready(0));
    assert!(core.step(ready(1)).is_empty(), "it has everything");
    assert_eq!((core.state("r").0, core.status("r").matched.datagrams), (State::Active, 5));
    assert_eq!(frames(&core), (vec![5], 0), "the port counts on");
    core.tell(report(0, 0, 7));
    assert_eq!((core.status("r").matched.datagrams, frames(&core)), (12, (vec![7], 0)));
}

#[test]
fn a_new_port_avoids_a_dead_worker_and_waits_where_there_is_no_other() {
    let mut core = Core::with_workers(2);
    core.tell(died(0));
    let asked = core.add(rule("r"));
    assert_eq!(asked[1], "open 0 packet 1 at 1: 239.1.1.1");
    core.tell(died(1));
    let second = with(rule("s"), |r| {
        r.input.interfaces = on("b");
        r.outputs = vec![output("c")].into();
    });
    let asked = core.add(second);
    assert!(!asked.iter().any(|line| line.starts_with("open")), "{asked:?}");
    assert_eq!(core.state("s").1, Some("input: its worker does not run".to_owned()));
    let opened = |asked: Vec<String>| {
        let keys = asked.iter().filter_map(|line| line.strip_prefix("open "));
        keys.map(|line| line[2..].to_owned()).collect::<Vec<_>>()
    };
    let mut all = opened(core.step(ready(1)));
    all.extend(opened(core.step(ready(0))));
    all.sort();
    assert_eq!(all.len(), 1, "the other is open");
    assert!(all[0].starts_with("packet 2"), "{all:?}");
}

#[test]
fn a_port_on_its_way_out_ends_with_the_data_plane() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.tell(report(0, 0, 3));
    assert!(core.step(Event::RemoveRule("r".to_owned())).contains(&"close 0".to_owned()));
    core.tell(Event::DataPlaneDied { reason: "killed".to_owned() });
    assert_eq!(frames(&core), (vec![], 3));
    core.tell(closed(0, 3, None));
    assert_eq!(frames(&core), (vec![], 3), "not twice");
}

#[test]
fn a_timeout_between_a_change_and_its_consequences_opens_nothing_that_is_gone() {
    let mut core = Core::new();
    core.add(rule("r"));
    core.acknowledge();
    core.tell(failed(0));
    core.now = Time(2 * SECOND);
    core.tell(Event::Net(NetEvent::LinkGone(IfIndex(1))));
    // There is no port 1 that could be closed.
    assert_eq!(core.step(Event::Timeout), ["gone 1", "publish 2"]);
}
