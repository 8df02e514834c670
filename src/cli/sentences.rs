//! Answers that need no table, in words. Names come from others: each passes through `shown`.

use super::columns::untied;
use super::tables::{count, output_notes, state, titled};
use super::text::{duration, shown};
use crate::api::v1::{
    ChangeKind, ChangesJson, DataPlaneUpgrade, Ledger, LogLevel, Pong, RuleJson, StateFileStatus,
    SumKind, Upgrade,
};

/// What an upgrade has done, in how long.
pub(super) fn upgraded(upgrade: &Upgrade, pong: &Pong, took: std::time::Duration) -> String {
    format!(
        "mcrd {} is replaced by mcrd {} in {} ms: process {}, {}\n",
        shown(&upgrade.from),
        shown(&pong.version),
        took.as_millis(),
        pong.pid,
        count(pong.rules, "rule"),
    )
}

/// What became of the data plane.
pub(super) fn data_plane_upgraded(upgrade: &DataPlaneUpgrade) -> String {
    format!(
        "its data plane {} is replaced by {} in {} ms: process {}, {} handed over\n",
        shown(&upgrade.from),
        shown(&upgrade.to),
        upgrade.milliseconds,
        upgrade.pid,
        count(upgrade.ports, "port"),
    )
}

pub(super) fn ping(pong: &Pong) -> String {
    let kept = match &pong.state_file {
        None => String::new(),
        Some(StateFileStatus { path, error: Some(error), .. }) => {
            format!("run-time rules are not kept in {}: {}\n", shown(path), shown(error))
        }
        Some(StateFileStatus { path, saved: true, .. }) => {
            format!("run-time rules are kept in {}\n", shown(path))
        }
        Some(StateFileStatus { path, .. }) => {
            format!("run-time rules are being written to {}\n", shown(path))
        }
    };
    format!(
        "mcrd {} answers: process {}, up {}, {}, generation {}\n{kept}",
        shown(&pong.version),
        pong.pid,
        duration(pong.uptime_seconds),
        count(pong.rules, "rule"),
        pong.generation
    )
}

/// What a change did, or would do: a line for each rule that does not stay as it is.
pub(super) fn changes(changes: &ChangesJson) -> String {
    let mut out = String::new();
    for change in &changes.changes {
        let sign = match change.change {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
            ChangeKind::Unchanged => continue,
        };
        out.push_str(&format!("{sign} {} ({})", shown(change.id.as_str()), shown(&change.rule)));
        if let Some(is) = change.state {
            out.push_str(&format!(" {}", state(is)));
        }
        if let Some(reason) = &change.reason {
            out.push_str(&format!(": {}", shown(reason)));
        }
        out.push('\n');
    }
    let ChangesJson { added, removed, changed, unchanged, .. } = changes;
    out.push_str(&match changes.dry_run {
        true => format!(
            "this would add {added}, remove {removed}, change {changed} and leave {unchanged} as it is\n"
        ),
        false => format!(
            "added {added}, removed {removed}, changed {changed}, left {unchanged} as it was\n"
        ),
    });
    out
}

pub(super) fn log_level(level: &LogLevel) -> String {
    let by = match level.set_by.as_str() {
        "file" => "as the configuration file says",
        "commandLine" => "as the command line of mcrd says",
        _ => "set at run time",
    };
    let mut out = format!("{}, {by}\n", shown(&level.level));
    for (module, level) in &level.modules {
        out.push_str(&format!("    {}: {}\n", shown(module), shown(level)));
    }
    out
}

/// Whether the counters add up.
pub(super) fn ledger(ledger: &Ledger) -> String {
    if ledger.closes {
        return "all sums close\n".to_owned();
    }
    let mut out = String::new();
    for sum in ledger.sums.iter().filter(|sum| !sum.closes) {
        let whose = match sum.worker {
            Some(worker) => format!("worker {worker}"),
            None => "closed ports and former workers".to_owned(),
        };
        let what = match sum.kind {
            SumKind::Kernel => "frames from the kernel",
            SumKind::Frames => "frames taken",
            SumKind::Datagrams => "datagrams",
            SumKind::Copies => "copies wanted",
        };
        let by = match sum.difference {
            missing if missing > 0 => format!("{missing} not accounted for"),
            twice => format!("{} too many", twice.unsigned_abs()),
        };
        let (total, accounted) = (sum.total, sum.accounted);
        out.push_str(&format!(
            "does not close: {whose}, {what}: {total}, of which {accounted} have a name: {by}\n"
        ));
    }
    out
}

/// What `add` says.
pub(super) fn added(rule: &RuleJson, new: bool) -> String {
    let known = if new { "" } else { " (the same rule was there already)" };
    let mut out = format!("rule {} is {}", titled(rule), state(rule.state));
    match &rule.reason {
        Some(reason) => out.push_str(&format!(": {}{known}\n", shown(reason))),
        None => out.push_str(&format!("{known}\n")),
    }
    for note in output_notes(rule) {
        out.push_str(&format!("    {note}\n"));
    }
    untied(&out)
}

pub(super) fn removed(rule: &RuleJson) -> String {
    format!("removed rule {}\n", titled(rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::Sum;

    fn pong(state_file: Option<StateFileStatus>) -> Pong {
        Pong {
            version: "0.1.0".into(),
            pid: 42,
            uptime_seconds: 93_784,
            generation: 7,
            rules: 1,
            state_file,
        }
    }

    #[test]
    fn ping_says_who_how_long_and_whether_rules_are_kept() {
        let first = "mcrd 0.1.0 answers: process 42, up 1d 2h 3m 4s, 1 rule, generation 7\n";
        assert_eq!(ping(&pong(None)), first);
        let kept = |saved, error: Option<&str>| {
            let path = "/var/lib/mcr/r.json".to_owned();
            let status = StateFileStatus { path, saved, error: error.map(str::to_owned) };
            ping(&pong(Some(status)))[first.len()..].to_owned()
        };
        assert_eq!(kept(true, None), "run-time rules are kept in /var/lib/mcr/r.json\n");
        assert!(kept(false, None).contains("being written"));
        assert!(
            kept(false, Some("no space")).contains("are not kept in /var/lib/mcr/r.json: no space")
        );
    }

    #[test]
    fn a_sum_that_does_not_close_is_named_with_the_difference() {
        let sum = |worker, kind, total, accounted: u64, difference| Sum {
            worker,
            kind,
            total,
            terms: [].into(),
            accounted,
            difference,
            closes: difference == 0,
        };
        let closed = sum(Some(0), SumKind::Kernel, 9, 9, 0);
        let all = Ledger { closes: true, sums: vec![closed.clone()] };
        assert_eq!(ledger(&all), "all sums close\n");
        let sums = vec![
            closed,
            sum(Some(1), SumKind::Copies, 28, 24, 4),
            sum(None, SumKind::Datagrams, 10, 12, -2),
        ];
        assert_eq!(
            ledger(&Ledger { closes: false, sums }),
            "\
does not close: worker 1, copies wanted: 28, of which 24 have a name: 4 not accounted for
does not close: closed ports and former workers, datagrams: 10, of which 12 have a name: 2 too many
"
        );
    }
}
