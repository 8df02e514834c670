//! Sums over all counters, and rates from two readings of them.

use super::columns::{Column, Columns};
use super::rule_text::{input, output};
use super::tables::{port_place, state};
use super::text::shown;
use crate::api::v1::{DropsJson, RuleJson, StatsJson};
use std::time::Duration;

/// Where packets went, summed over everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    kernel_dropped: u64,
    datagrams: u64,
    matched: u64,
    not_matched: DropsJson,
    wanted: u64,
    sent: u64,
    not_sent: DropsJson,
}

impl Totals {
    pub(super) fn of(stats: &StatsJson) -> Self {
        let closed = &stats.closed_ports;
        let mut totals = Self {
            kernel_dropped: closed.kernel_dropped,
            datagrams: closed.datagrams,
            matched: closed.matched,
            ..Self::default()
        };
        for (reason, count) in &closed.drops {
            add(&mut totals.not_matched, reason.name(), *count);
        }
        for port in &stats.ports {
            totals.kernel_dropped = totals.kernel_dropped.saturating_add(port.kernel_dropped);
            totals.datagrams = totals.datagrams.saturating_add(port.datagrams);
            totals.matched = totals.matched.saturating_add(port.matched);
            for (reason, count) in &port.drops {
                add(&mut totals.not_matched, reason.name(), *count);
            }
        }
        for output in stats.rules.iter().flat_map(|rule| &rule.outputs) {
            totals.wanted = totals.wanted.saturating_add(output.wanted);
            totals.sent = totals.sent.saturating_add(output.sent_datagrams);
            for (reason, count) in &output.drops {
                add(&mut totals.not_sent, reason, *count);
            }
        }
        totals
    }

    /// One line that says where every packet went.
    pub(super) fn sentence(&self) -> String {
        let beside = |drops: &DropsJson, what: &str| match drops_or_none(drops) {
            Some(text) => format!(" ({what}: {text})"),
            None => String::new(),
        };
        let dropped = self.not_sent.values().fold(0u64, |sum, n| sum.saturating_add(*n));
        let accounted = self.sent.saturating_add(dropped);
        let under_way = match self.wanted.saturating_sub(accounted) {
            0 => String::new(),
            n => format!(", {n} not yet accounted for"),
        };
        let kernel = match self.kernel_dropped {
            0 => String::new(),
            n => format!("; the kernel dropped {n} frames before them"),
        };
        format!(
            "{} datagrams came in, {} matched{}; {} of {} copies sent{}{under_way}{kernel}",
            self.datagrams,
            self.matched,
            beside(&self.not_matched, "not matched"),
            self.sent,
            self.wanted,
            beside(&self.not_sent, "not sent"),
        )
    }
}

/// `20 send_buffer_full, 3 no_route`: the most frequent first, zeros left out.
pub(super) fn drops<K: AsReason + Ord>(drops: &std::collections::BTreeMap<K, u64>) -> String {
    let mut list: Vec<_> = drops.iter().filter(|(_, count)| **count > 0).collect();
    list.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let list: Vec<String> =
        list.iter().map(|(reason, count)| format!("{count} {}", shown(reason.reason()))).collect();
    list.join(", ")
}

/// A drop reason, of this version or read from a daemon.
pub(super) trait AsReason {
    fn reason(&self) -> &str;
}

impl AsReason for String {
    fn reason(&self) -> &str {
        self
    }
}

impl AsReason for crate::types::DropReason {
    fn reason(&self) -> &str {
        self.name()
    }
}

fn drops_or_none(of: &DropsJson) -> Option<String> {
    Some(drops(of)).filter(|text| !text.is_empty())
}

fn add(to: &mut DropsJson, reason: &str, count: u64) {
    if count > 0 {
        let sum = to.entry(reason.to_owned()).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// The rates between two readings; none where the second is not of the same run of the daemon.
pub(super) fn table(before: &StatsJson, after: &StatsJson) -> Option<String> {
    let elapsed = after.at.since(before.at);
    if elapsed.is_zero() {
        return None;
    }
    let mut out = format!("rates over {:.1} s\n\n", elapsed.as_secs_f64());
    let mut table = Columns::new(&[
        Column::text("RULE", 24),
        Column::text("STATE", 8),
        Column::text("WHERE", 32),
        Column::number("DATAGRAMS/S"),
        Column::number("MBIT/S"),
        Column::number("NOT SENT/S"),
    ]);
    for rule in &after.rules {
        let old = before.rules.iter().find(|old| old.id == rule.id);
        rule_rows(old, rule, elapsed, &mut table);
    }
    out.push_str(&table.render());
    let mut table = Columns::new(&[
        Column::text("PORT", 8),
        Column::text("INTERFACE", 30),
        Column::number("FRAMES/S"),
        Column::number("MATCHED/S"),
        Column::number("NOT MATCHED/S"),
        Column::number("KERNEL DROPS/S"),
    ]);
    for port in &after.ports {
        let old = before.ports.iter().find(|old| old.port == port.port);
        let of = |now: u64, was: Option<u64>| per_second(now, was.unwrap_or(0), elapsed);
        table.row([
            port.port.to_string(),
            port_place(port),
            of(port.frames, old.map(|o| o.frames)),
            of(port.matched, old.map(|o| o.matched)),
            of(port.drops.values().sum(), old.map(|o| o.drops.values().sum())),
            of(port.kernel_dropped, old.map(|o| o.kernel_dropped)),
        ]);
    }
    if !after.ports.is_empty() {
        out.push('\n');
        out.push_str(&table.render());
    }
    out.push_str(&format!("\nso far: {}\n", Totals::of(after).sentence()));
    Some(out)
}

fn rule_rows(old: Option<&RuleJson>, rule: &RuleJson, elapsed: Duration, table: &mut Columns) {
    table.row([
        shown(&rule.origin),
        state(rule.state).to_owned(),
        format!("in {}", input(&rule.input)),
        per_second(rule.matched_datagrams, old.map_or(0, |o| o.matched_datagrams), elapsed),
        megabits(rule.matched_bytes, old.map_or(0, |o| o.matched_bytes), elapsed),
        String::new(),
    ]);
    for (index, now) in rule.outputs.iter().enumerate() {
        let old = old.and_then(|old| old.outputs.get(index));
        table.row([
            String::new(),
            state(now.state).to_owned(),
            format!("out {}", output(now)),
            per_second(now.sent_datagrams, old.map_or(0, |o| o.sent_datagrams), elapsed),
            megabits(now.sent_bytes, old.map_or(0, |o| o.sent_bytes), elapsed),
            per_second(
                now.drops.values().sum(),
                old.map_or(0, |o| o.drops.values().sum()),
                elapsed,
            ),
        ]);
    }
}

/// Counters of less than 2^53 lose nothing here, and rates are rounded anyway.
fn rate(now: u64, before: u64, elapsed: Duration) -> f64 {
    now.saturating_sub(before) as f64 / elapsed.as_secs_f64()
}

fn per_second(now: u64, before: u64, elapsed: Duration) -> String {
    match rate(now, before, elapsed) {
        0.0 => "0".to_owned(),
        slow if slow < 99.95 => format!("{slow:.1}"),
        fast => format!("{fast:.0}"),
    }
}

fn megabits(now: u64, before: u64, elapsed: Duration) -> String {
    match rate(now, before, elapsed) * 8.0 / 1e6 {
        0.0 => "0".to_owned(),
        rate => format!("{rate:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake_core;
    use crate::types::{DropReason, Time};

    fn stats() -> StatsJson {
        let rule = fake_core::status(fake_core::rule("a1", Some("cam")));
        fake_core::stats(vec![rule]).into()
    }

    #[test]
    fn rates_are_differences_over_the_daemons_own_clock() {
        let before = stats();
        let mut after = before.clone();
        after.at = Time(before.at.0 + 2_000_000_000);
        after.rules[0].matched_datagrams += 2_000;
        after.rules[0].matched_bytes += 2_800_000;
        after.rules[0].outputs[0].wanted += 2_000;
        after.rules[0].outputs[0].sent_datagrams += 1_999;
        after.rules[0].outputs[0].sent_bytes += 2_798_600;
        *after.rules[0].outputs[0].drops.entry("send_buffer_full".into()).or_default() += 1;
        after.ports[0].frames += 2_100;
        after.ports[0].matched += 2_000;
        after.ports[0].datagrams += 2_100;
        after.ports[0].kernel_dropped += 10;
        *after.ports[0].drops.entry(DropReason::NoRule).or_default() += 100;
        assert_eq!(
            table(&before, &after).expect("rates"),
            "\
rates over 2.0 s

RULE         STATE    WHERE                            DATAGRAMS/S  MBIT/S  NOT SENT/S
runtime/cam  active   in 239.1.1.1:5000 on eth0               1000   11.20
                      from 10.0.0.1
             active   out 239.2.2.2:6000 via eth1             1000   11.19         0.5
                      ttl 8
             pending  out 10.9.9.9:7000 ttl decrement            0       0           0

PORT  INTERFACE    FRAMES/S  MATCHED/S  NOT MATCHED/S  KERNEL DROPS/S
1     eth0 packet      1050       1000           50.0             5.0

so far: 3112 datagrams came in, 3000 matched (not matched: 112 no_rule, 3 fragment_invalid); 2979 of 3000 copies sent (not sent: 21 send_buffer_full); the kernel dropped 15 frames before them
"
        );
    }

    #[test]
    fn another_run_of_the_daemon_gives_no_rates() {
        let before = stats();
        assert_eq!(table(&before, &before), None);
        let mut restarted = before.clone();
        restarted.at = Time(5);
        assert_eq!(table(&before, &restarted), None);
        // Counters that went back although time went on: no rate below zero.
        let mut after = before.clone();
        after.at = Time(before.at.0 + 1_000_000_000);
        after.rules[0].matched_datagrams = 0;
        let text = table(&before, &after).expect("rates");
        let line = text.lines().find(|line| line.contains("on eth0")).expect("the input");
        assert!(line.ends_with(" 0       0"), "{text}");
    }

    #[test]
    fn the_sentence_leaves_out_what_did_not_happen() {
        let quiet = Totals { datagrams: 5, matched: 5, wanted: 10, sent: 10, ..Totals::default() };
        assert_eq!(quiet.sentence(), "5 datagrams came in, 5 matched; 10 of 10 copies sent");
        let odd = Totals { sent: 7, ..quiet };
        assert_eq!(
            odd.sentence(),
            "5 datagrams came in, 5 matched; 7 of 10 copies sent, 3 not yet accounted for"
        );
    }

    #[test]
    fn drops_are_sorted_by_count_and_zeros_left_out() {
        let list: DropsJson =
            [("a".to_owned(), 3), ("b".to_owned(), 0), ("c".to_owned(), 9)].into();
        assert_eq!(drops(&list), "9 c, 3 a");
    }
}
