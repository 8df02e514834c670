//! The benchmark of relays: `make bench` and `make soak`. Three network namespaces, a generator, a
//! checking sink, and the systems to compare, in turn; docs/performance.md says how to read it.

mod arrivals;
mod cases;
mod clock;
mod conditions;
mod cpu;
mod frames;
mod generator;
mod host;
mod lab;
mod measure;
mod network;
mod payload;
mod receiver;
mod report;
mod search;
mod sink;
mod soak;
mod special;
mod statistics;
mod systems;
mod tally;
mod trial;
mod xdp;

use cases::{CASES, Case, QUICK, What, Who};
use clap::Parser;
use measure::Effort;
use report::{Outcome, Report};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use systems::{Mcr, Smcroute, Socat, System};
use trial::Bench;

/// Measures relays in network namespaces of its own. Needs root.
#[derive(Debug, Parser)]
struct Arguments {
    /// Cases: names, "quick" or "all"
    #[arg(default_value = "all")]
    cases: Vec<String>,
    /// Another relay with the same command line: the directory of its mcrd and mcrctl
    #[arg(long)]
    cmd_dir: Vec<PathBuf>,
    /// How often each system is measured
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    /// Only these systems (the beginnings of their names)
    #[arg(long)]
    only: Vec<String>,
    /// Lists the cases
    #[arg(long)]
    list: bool,
    /// No comparison: a long run of so many minutes at 70 % of the maximum, with a verdict
    #[arg(long, value_name = "MINUTES")]
    soak: Option<f64>,
    /// Datagrams a second of the long run
    #[arg(long)]
    rate: Option<f64>,
    /// What cargo bench says of itself
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for case in CASES {
            println!("{:16} {}", case.name, case.title);
        }
        return ExitCode::SUCCESS;
    }
    let cases = match selected(&arguments.cases) {
        Ok(cases) => cases,
        Err(name) => {
            eprintln!("bench: there is no case {name}; --list lists them");
            return ExitCode::FAILURE;
        }
    };
    let Some(settings) = host::inside() else { return host::run_inside() };
    if let Some(minutes) = arguments.soak {
        let duration = Duration::from_secs_f64(60.0 * minutes.clamp(0.0, 60_000.0));
        let plan = soak::Plan { duration, rate: arguments.rate };
        let passed = soak::run(&mut Bench::new(1), plan);
        return if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    run(&arguments, &cases, &settings)
}

/// The cases of these names; the name that is none.
fn selected(names: &[String]) -> Result<Vec<&'static Case>, &str> {
    let mut cases: Vec<&Case> = Vec::new();
    for name in names {
        let before = cases.len();
        let all = name == "all";
        let quick = name == "quick";
        cases.extend(
            CASES
                .iter()
                .filter(|case| all || quick && QUICK.contains(&case.name) || case.name == name),
        );
        if cases.len() == before {
            return Err(name);
        }
    }
    Ok(cases)
}

fn run(arguments: &Arguments, cases: &[&Case], settings: &str) -> ExitCode {
    let start = Instant::now();
    let quick = arguments.cases.iter().any(|name| name == "quick");
    let effort = if quick {
        Effort { trial: Duration::from_millis(700), step: Duration::from_millis(300) }
    } else {
        Effort { trial: Duration::from_secs(2), step: Duration::from_millis(700) }
    };
    let most = cases.iter().map(|case| case.outputs).max().unwrap_or(1);
    let mut bench = Bench::new(most);
    let conditions = conditions::conditions(settings, &bench);
    let mut report = Report { conditions, ..Report::default() };
    let systems = systems(arguments, &mut report);
    for case in cases {
        let outcome = run_case(&mut bench, case, &systems, arguments.repeat, effort);
        println!("\n{}", outcome.table());
        report.cases.push(outcome);
        // What was measured so far is kept, however this ends.
        report.write();
    }
    let took = format!("{:.0} s, n = {}", start.elapsed().as_secs_f64(), arguments.repeat);
    report.conditions.push(("length of the run".to_owned(), took.clone()));
    let [json, markdown] = report.write();
    println!("{took}: {} and {}", markdown.display(), json.display());
    ExitCode::SUCCESS
}

/// The systems that are here; the report names those that are not.
fn systems(arguments: &Arguments, report: &mut Report) -> Vec<Box<dyn System>> {
    let mut all: Vec<Box<dyn System>> = vec![Box::new(Mcr::this())];
    for directory in &arguments.cmd_dir {
        all.push(Box::new(Mcr::other(directory)));
    }
    all.push(Box::new(Smcroute));
    all.push(Box::new(Socat));
    let only = &arguments.only;
    all.retain(|system| {
        let wanted = only.is_empty() || only.iter().any(|name| system.name().starts_with(name));
        let version = system.version();
        if let (true, Err(reason)) = (wanted, &version) {
            eprintln!("bench: {} is left out: {reason}", system.name());
        }
        if wanted {
            let text = version.clone().unwrap_or_else(|reason| format!("left out: {reason}"));
            report.systems.insert(system.name(), text);
        }
        wanted && version.is_ok()
    });
    all
}

/// Measures every system that takes part, in turn, as often as asked for.
fn run_case(
    bench: &mut Bench,
    case: &Case,
    systems: &[Box<dyn System>],
    repeat: u32,
    effort: Effort,
) -> Outcome {
    let all_mcr = || systems.iter().filter_map(|system| system.mcr());
    let variants: Vec<Mcr> = match case.who {
        Who::McrRules => {
            all_mcr().flat_map(|mcr| [mcr.clone(), mcr.with_idle_rules(special::RULES)]).collect()
        }
        Who::Mcr if matches!(case.what, What::Reload(_)) => {
            all_mcr().map(|mcr| mcr.with_idle_rules(special::RULES)).collect()
        }
        Who::McrSettings => all_mcr().flat_map(Mcr::with_each_setting).collect(),
        Who::AllAndBusyPoll => {
            all_mcr().flat_map(|mcr| [mcr.clone(), mcr.with_busy_poll()]).collect()
        }
        Who::Mcr | Who::All => Vec::new(),
    };
    let takes_part = |system: &&dyn System| match case.who {
        Who::All => true,
        Who::AllAndBusyPoll => system.mcr().is_none(),
        Who::Mcr | Who::McrRules | Who::McrSettings => {
            variants.is_empty() && system.mcr().is_some()
        }
    };
    let ours = variants.iter().map(|mcr| mcr as &dyn System);
    let others = systems.iter().map(|system| &**system).filter(takes_part);
    let systems: Vec<&dyn System> = ours.chain(others).collect();

    bench.network.ingress(case.ingress);
    bench.network.segmentation(case.outputs, case.segmentation);
    let job = measure::job(case);
    let mut outcome = Outcome::new(case);
    for round in 1..=repeat {
        let baseline = measure::baseline(bench, case, effort);
        for system in &systems {
            if system.outputs(&job) == 0 {
                continue;
            }
            eprintln!("{} {round}/{repeat}: {}", case.name, system.name());
            let measured = measure::measure(bench, case, *system, baseline.as_ref(), effort);
            outcome.add(&system.name(), measured);
        }
        if let Some(baseline) = baseline {
            outcome.add_trial("no relay", baseline);
        }
    }
    outcome
}
