//! The engine with workers of memory: who gets what, and what is left when they die.

use super::*;
use crate::dataplane::link::{Ingress, Port, Report, Tier, WorkerPlan};
use crate::fib::counters::PortCounters;
use crate::types::{IfIndex, LinkLayer};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};

/// What workers were told, in short, and their ports.
#[derive(Default)]
struct Log {
    said: Vec<String>,
    ports: Vec<(u32, Port)>,
}

struct Fakes {
    log: Rc<RefCell<Log>>,
}

impl Crew for Fakes {
    fn start(&mut self, worker: u32, _: WorkerPlan) -> io::Result<()> {
        self.log.borrow_mut().said.push(format!("{worker} start"));
        Ok(())
    }

    fn send(&self, worker: u32, message: ToWorker) -> bool {
        let mut log = self.log.borrow_mut();
        let text = match &message {
            ToWorker::Open(port) => format!("open {} from {}", port.id.0, port.counters.frames),
            ToWorker::Close(id) => format!("close {}", id.0),
            ToWorker::Release(id) => format!("release {}", id.0),
            ToWorker::Publish { fib, .. } => format!("publish {}", fib.generation()),
            other => format!("{other:?}").to_lowercase(),
        };
        log.said.push(format!("{worker} {text}"));
        if let ToWorker::Open(port) = message {
            log.ports.push((worker, port));
        }
        true
    }

    fn stop(&mut self, worker: u32) {
        self.log.borrow_mut().said.push(format!("{worker} joined"));
    }
}

struct Bench {
    engine: Engine<Fakes>,
    log: Rc<RefCell<Log>>,
    speak: Sender<(u32, FromWorker)>,
    now: Time,
}

impl Bench {
    fn new(workers: usize) -> Self {
        let log = Rc::<RefCell<Log>>::default();
        let (speak, heard) = channel();
        let settings =
            Settings { workers: vec![WorkerPlan::default(); workers], ..Settings::default() };
        let now = Time(1_000_000_000);
        let fakes = Fakes { log: Rc::clone(&log) };
        let engine = Engine::start(fakes, heard, settings, Vec::new(), now);
        let mut bench = Self { engine, log, speak, now };
        for worker in 0..workers {
            let (tier, worker) = (Tier::Syscalls, u32::try_from(worker).expect("few"));
            bench.hear(worker, FromWorker::Ready { tier, reason: None, notes: Vec::new() });
        }
        bench.told();
        bench
    }

    fn say(&mut self, message: ToPlane) {
        let socket = std::fs::File::open("/dev/null").expect("opens").into();
        assert!(self.engine.obey(message, Some(socket), self.now));
    }

    fn open(&mut self, worker: u32, id: u32) {
        let (iif, ingress) = (IfIndex(3), Ingress::Packet(LinkLayer::Ethernet));
        let (counters, label) = (PortCounters::default(), vec![1]);
        let port = PortSpec { id: PortId(id), iif, ingress, counters, label };
        self.say(ToPlane::Open { worker, port });
    }

    fn publish(&mut self, generation: u64) {
        let fib = Arc::new(crate::fib::Builder::default().build(generation).fib);
        let (reset_rules, reset_outputs) = (Vec::new(), Vec::new());
        let notes = vec![("n".to_owned(), Some(vec![7]))];
        self.say(ToPlane::Publish { fib, reset_rules, reset_outputs, notes });
    }

    fn hear(&mut self, worker: u32, message: FromWorker) {
        self.speak.send((worker, message)).expect("listens");
        self.engine.listen(self.now);
    }

    fn counted(&mut self, worker: u32, id: u32, frames: u64, held: u64) {
        let counters = PortCounters { frames, held, whole: frames - held, ..Default::default() };
        let report = Report { ports: vec![(PortId(id), counters)], ..Report::default() };
        self.hear(worker, FromWorker::Report(Box::new(report)));
    }

    /// The worker gives the port back that it was told to.
    fn give_back(&mut self, worker: u32, id: u32, frames: u64) {
        let at = |(with, port): &(u32, Port)| *with == worker && port.id == PortId(id);
        let position = self.log.borrow().ports.iter().rposition(at).expect("it has it");
        let (_, mut port) = self.log.borrow_mut().ports.remove(position);
        port.counters.frames = frames;
        self.hear(worker, FromWorker::Released(Box::new(port)));
    }

    /// What the workers were told since the last call.
    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log.borrow_mut().said)
    }

    /// What control was told since the last call, in short.
    fn answers(&mut self) -> Vec<String> {
        let short = |(answer, _): Answer| match answer {
            FromPlane::Closed { port, counters, failure } => {
                format!("closed {} {} {}", port.0, counters.frames, failure.unwrap_or_default())
            }
            FromPlane::Released { port, counters } => {
                format!("released {} {}", port.0, counters.frames)
            }
            FromPlane::Died { worker, .. } => format!("died {worker}"),
            FromPlane::Stopped { worker } => format!("stopped {worker}"),
            FromPlane::Refused(what) => format!("refused: {what}"),
            _ => String::new(),
        };
        self.engine.answers().into_iter().map(short).filter(|text| !text.is_empty()).collect()
    }
}

#[test]
fn a_worker_that_dies_is_started_again_with_its_table_and_ports() {
    let mut bench = Bench::new(2);
    bench.publish(4);
    bench.open(0, 10);
    bench.open(1, 11);
    assert_eq!(
        bench.told(),
        ["0 publish 4", "1 publish 4", "0 open 10 from 0", "1 open 11 from 0"]
    );
    bench.counted(0, 10, 5, 2);
    bench.hear(0, FromWorker::Died("panic: test".to_owned()));
    assert_eq!(
        (bench.told(), bench.answers()),
        (vec!["0 joined".to_owned()], vec!["died 0".to_owned()])
    );
    // What is opened meanwhile waits; what is closed ends at once.
    bench.open(0, 12);
    bench.open(0, 13);
    bench.say(ToPlane::Close(PortId(13)));
    assert_eq!((bench.told().len(), bench.answers()), (0, vec!["closed 13 0 ".to_owned()]));
    bench.now = bench.engine.next_timeout();
    assert_eq!(bench.now, Time(1_050_000_000));
    bench.engine.tick(bench.now);
    assert_eq!(
        bench.told(),
        ["0 start", "0 publish 4", "0 open 10 from 5", "0 open 12 from 0"],
        "the table first, and counters go on"
    );
    let held = bench.log.borrow().ports.iter().map(|(_, port)| port.counters.held).sum::<u64>();
    assert_eq!(held, 0, "fragments are lost with it");
    // Twice as long each time.
    for wait in [100u64, 200, 400, 800, 1600, 3200, 5000, 5000] {
        bench.hear(0, FromWorker::Died("again".to_owned()));
        let due = bench.engine.next_timeout();
        assert_eq!(due, bench.now.plus(Duration::from_millis(wait)));
        bench.now = due;
        bench.engine.tick(due);
    }
}

#[test]
fn a_port_is_moved_by_way_of_nobody() {
    let mut bench = Bench::new(2);
    bench.open(0, 1);
    bench.told();
    bench.say(ToPlane::Move { port: PortId(1), worker: 1 });
    assert_eq!(bench.told(), ["0 release 1"]);
    bench.give_back(0, 1, 9);
    assert_eq!(bench.told(), ["1 open 1 from 9"]);
    // Closed on its way: it ends where it arrives. And a worker that dies does not take it along.
    bench.say(ToPlane::Move { port: PortId(1), worker: 0 });
    bench.say(ToPlane::Close(PortId(1)));
    bench.give_back(1, 1, 12);
    assert_eq!(
        (bench.told(), bench.answers()),
        (vec!["1 release 1".to_owned()], vec!["closed 1 12 ".to_owned()])
    );
    bench.open(0, 2);
    bench.say(ToPlane::Move { port: PortId(2), worker: 1 });
    bench.told();
    bench.hear(0, FromWorker::Died("test".to_owned()));
    assert_eq!(bench.told(), ["0 joined", "1 open 2 from 0"]);
    bench.say(ToPlane::Release(PortId(2)));
    bench.give_back(1, 2, 30);
    assert_eq!(bench.answers(), ["died 0", "released 2 30"]);
    bench.say(ToPlane::Move { port: PortId(1), worker: 7 });
    assert_eq!(bench.answers(), ["refused: a port was to be moved to a worker that there is not"]);
}

#[test]
fn workers_come_and_go_when_their_ports_have_left() {
    let mut bench = Bench::new(1);
    bench.publish(3);
    bench.open(0, 1);
    bench.told();
    let plans = |n| ToPlane::Workers(vec![WorkerPlan::default(); n]);
    bench.say(plans(2));
    assert_eq!(bench.told(), ["1 start", "1 publish 3"]);
    bench.open(1, 2);
    bench.told();
    bench.say(plans(1));
    assert_eq!(bench.told(), ["1 release 2"], "not without its port");
    bench.give_back(1, 2, 4);
    assert_eq!(bench.told(), ["0 open 2 from 4", "1 collect(0)", "1 joined"]);
    assert_eq!(bench.answers(), ["stopped 1"]);
    bench.say(plans(0));
    assert_eq!(bench.answers(), ["refused: there must be 1 to 64 workers"]);
}

#[test]
fn who_comes_later_finds_everything() {
    let mut bench = Bench::new(1);
    bench.publish(6);
    bench.open(0, 1);
    bench.open(0, 2);
    bench.say(ToPlane::Close(PortId(2)));
    bench.say(ToPlane::Keep { token: 40 });
    bench.say(ToPlane::Keep { token: 41 });
    bench.say(ToPlane::Forget { token: 40 });
    bench.say(ToPlane::Remember(vec![("m".into(), Some(vec![1])), ("n".into(), None)]));
    let mut found = bench.engine.inventory().into_iter();
    let Some((FromPlane::Inventory(inventory), None)) = found.next() else { panic!("first") };
    assert_eq!((inventory.generation, inventory.follow), (6, 1));
    assert_eq!((inventory.kept, inventory.notes), (vec![41], vec![("m".to_owned(), vec![1])]));
    assert_eq!(inventory.workers[0].tier, Some(Tier::Syscalls));
    let Some((FromPlane::Port { worker: 0, port }, Some(_))) = found.next() else { panic!("port") };
    assert_eq!(
        (port.id, port.label),
        (PortId(1), vec![1]),
        "one that is closing is not for others"
    );
    assert!(found.next().is_none());
    // A table that does not hold together leaves the last good one.
    let mut bad = crate::fib::Builder::default().build(9).fib;
    crate::fib::spoil(&mut bad, 5, u32::MAX);
    let (reset_rules, reset_outputs, notes) = (Vec::new(), Vec::new(), Vec::new());
    bench.say(ToPlane::Publish { fib: Arc::new(bad), reset_rules, reset_outputs, notes });
    assert_eq!(bench.answers().len(), 1);
    let Some((FromPlane::Inventory(inventory), _)) = bench.engine.inventory().into_iter().next()
    else {
        panic!("first")
    };
    assert_eq!(inventory.generation, 6);
}
