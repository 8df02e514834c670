//! Under which conditions a run was made.

use std::fs;
use std::process::Command;

/// Name and text of each.
pub(crate) fn conditions(settings: &str, bench: &super::trial::Bench) -> Vec<(String, String)> {
    let softirq_threads = bench.meter.threads();
    let sender = match &bench.network.live_frames {
        Ok(()) => "bursts of XDP frames, each in one turn of the input's NAPI".to_owned(),
        Err(error) => {
            let error = error.lines().next().unwrap_or_default();
            format!("AF_PACKET, frame by frame, since the kernel refused XDP live frames: {error}")
        }
    };
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = read("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
    let virtual_machine = info.contains(" hypervisor");
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let texts = [
        ("date", date.unwrap_or_default()),
        ("kernel", kernel),
        ("CPUs", format!("{cpus} x {model}{}", if virtual_machine { " (virtual)" } else { "" })),
        ("mitigations", mitigations()),
        ("frequency governor", governor.unwrap_or_else(|| "not readable".to_owned())),
        ("load before", read("/proc/loadavg").unwrap_or_default()),
        ("set for the run, put back after it", settings.to_owned()),
        (
            "placement",
            format!(
                "sender and its softirqs on CPU {}, relay and sink on CPU {}, all nice -19",
                super::clock::GENERATOR_CPU,
                super::clock::relay_cpu()
            ),
        ),
        (
            "counted as CPU",
            format!(
                "run time of sender, relay and {softirq_threads} softirq threads, less that of the \
                 same traffic without a relay; not that of the sink"
            ),
        ),
        ("sender of nic and nic+gro", sender),
        ("payload", format!("{} bytes", super::trial::SIZE)),
    ];
    texts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

/// How many of the known weaknesses of the processor the kernel works around.
fn mitigations() -> String {
    let entries = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let texts: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect();
    let count = |word: &str| texts.iter().filter(|text| text.starts_with(word)).count();
    let (on, open) = (count("Mitigation"), count("Vulnerable"));
    format!("{on} on, {open} open, of {} known weaknesses", texts.len())
}
