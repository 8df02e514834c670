//! The benchmark of relays: `make bench`. Three network namespaces, a generator, a checking sink,
//! and the systems to compare, one after the other; see docs/performance.md.

mod clock;
mod cpu;
mod frames;
mod generator;
mod host;
mod lab;
mod network;
mod payload;
mod search;
mod sink;
mod statistics;
mod systems;
mod tally;
mod trial;

use std::process::ExitCode;
use std::time::Duration;
use systems::{Job, System};

fn main() -> ExitCode {
    let Some(settings) = host::inside() else { return host::run_inside() };
    println!("{settings}");
    let mut bench = trial::Bench::new(2);
    println!("softirqd {}", bench.meter.threads());
    let job = Job { flows: trial::flows(1), outputs: 1, idle_rules: 0, fifo: false };
    let systems: [Box<dyn System>; 3] =
        [Box::new(systems::Mcr::this()), Box::new(systems::Socat), Box::new(systems::Smcroute)];
    for ingress in [network::Ingress::Nic, network::Ingress::NicGro, network::Ingress::Gso] {
        bench.network.ingress(ingress);
        for rate in [20_000.0, 100_000.0, 400_000.0] {
            let traffic = trial::traffic(ingress, 1, rate, Duration::from_millis(500));
            println!("{ingress:?} direct {:?}", bench.direct(&traffic));
            for system in &systems {
                println!("{} {:?}", system.name(), system.version());
                let running = system.start(&bench.network, &job);
                let result = bench.trial(&traffic, 1, Some(&running));
                println!("{result:?} {:?}", running.drops());
            }
        }
    }
    ExitCode::SUCCESS
}
