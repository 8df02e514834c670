//! Cases that are more than traffic and a tap: every byte, a reload, memory.

use super::lab;
use super::measure::{Measured, bounds};
use super::network::Ingress;
use super::receiver::Receiver;
use super::systems::{Job, Running, System};
use super::trial::{Bench, flows, traffic};
use nix::sys::signal::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Rules that are changed.
pub(crate) const RULES: u32 = 9_999;
const INTERFACES: u32 = 200;
const MIB: f64 = 1024.0 * 1024.0;

/// Sends to a real receiver.
pub(crate) fn bytes(bench: &Bench, traffic: &super::generator::Traffic) -> Measured {
    let receiver = Receiver::open(&bench.network);
    let over = AtomicBool::new(false);
    let (sent, received) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| receiver.watch(traffic.size, &over));
        let sent = traffic.send(&bench.network, || false);
        over.store(true, Ordering::Release);
        (sent, watch.join().expect("the receiver"))
    });
    let tally = &received.tally;
    let lost = tally.lost(sent.total());
    let wrong = lost + tally.duplicated + tally.reordered + received.corrupted;
    let mut measured = Measured::default();
    measured.value("not as sent", "datagrams", wrong as f64);
    measured.value("sent", "datagrams", sent.total() as f64);
    if wrong > 0 {
        measured.notes.push(format!(
            "{lost} lost ({} at the receiver's own socket), {} doubled, {} out of order, {} corrupted",
            received.socket_dropped, tally.duplicated, tally.reordered, received.corrupted
        ));
    }
    measured
}

/// Changes every other rule twice while one is in use.
pub(crate) fn reload(
    bench: &mut Bench,
    job: &Job,
    rate: f64,
    system: &dyn System,
    running: &Running,
) -> Measured {
    let mut measured = Measured::default();
    let (Some(mcr), Some(control)) = (system.mcr(), running.control.as_ref()) else {
        return measured;
    };
    let traffic = traffic(Ingress::Nic, 1, rate, Duration::from_secs(3));
    let calm = bench.trial(&traffic, 1, Some(running));
    let [first, second] = [1, 2].map(|version| mcr.config(job, version));
    let busy = bench.trial_beside(&traffic, 1, running, || {
        for text in [first, second] {
            std::thread::sleep(Duration::from_millis(900));
            std::fs::write(&control.file, text).expect("writing the file");
            running.processes[0].signal(Signal::SIGHUP);
        }
    });
    measured.value("lost with two reloads", "datagrams", busy.lost as f64);
    measured.value("lost without", "datagrams", calm.lost as f64);
    measured.notes.extend(bounds(&busy));
    measured.trials.extend([calm, busy]);
    measured
}

/// Starts it in several ways and looks at its resident memory.
pub(crate) fn memory(bench: &Bench, system: &dyn System) -> Measured {
    let mut measured = Measured::default();
    let Some(mcr) = system.mcr() else { return measured };
    let network = &bench.network;
    let none = Job { flows: flows(0), outputs: 1, fifo: false };
    // Rings are of a fixed size, and would hide what rules and interfaces take.
    let resident = |settings: &str, rules: u32| {
        let mut with = mcr.clone();
        (with.settings, with.idle_rules) = (format!("dataplane: {{ {settings} }},"), rules);
        settled(&with.start(network, &none))
    };
    let idle = resident("", 0);
    measured.value("idle", "MiB", idle / MIB);
    measured.value("10,000 rules more", "MiB", (resident("rings: 0", RULES + 1) - idle) / MIB);
    measured.value("a worker more", "MiB", (resident("workers: 2", 0) - idle) / MIB);
    let ring = resident("rings: 1", 1) - resident("rings: 0", 1);
    measured.value("a ring more", "MiB", ring / MIB);

    // One rule for each of many interfaces, so that each is bound; they come while it runs.
    let from = |number| format!("interface: 'p{number}', group: '239.9.0.1', port: 5000");
    let to = "outputs: [{ interface: 'out0', group: '239.9.0.1', port: 5000 }]";
    let rules = (0..INTERFACES).map(|number| format!("{{ input: {{ {} }}, {to} }},", from(number)));
    let text = format!(
        "{{ dataplane: {{ rings: 0 }}, rules: [ {} ] }}",
        rules.collect::<Vec<_>>().join("\n")
    );
    let running = mcr.start_with(network, &none, &text);
    let pending = settled(&running);
    for number in 0..INTERFACES {
        let add = format!("type veth peer name q{number} netns relay");
        lab::host(&format!("ip link add p{number} netns relay {add}"));
        network.relay.run(&format!("ip link set p{number} up"));
        network.relay.run(&format!("ip link set q{number} up"));
    }
    if let Some(control) = &running.control {
        control.wait_active(INTERFACES as usize);
    }
    measured.value("200 interfaces more", "MiB", (settled(&running) - pending) / MIB);
    for number in 0..INTERFACES {
        network.relay.run(&format!("ip link del p{number}"));
    }
    measured
}

/// Resident memory when it has not grown for a while.
fn settled(running: &Running) -> f64 {
    let mut before = running.resident();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(250));
        let now = running.resident();
        if now <= before {
            break;
        }
        before = now;
    }
    running.resident() as f64
}
