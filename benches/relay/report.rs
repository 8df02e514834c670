//! What came out: on the terminal, as Markdown, and as JSON with every trial.

use super::cases::Case;
use super::measure::Measured;
use super::statistics::Sample;
use super::trial::Trial;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// All of a run.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Name and text of each condition, in order.
    pub(crate) conditions: Vec<(String, String)>,
    /// What each system says its version is, or why it is missing.
    pub(crate) systems: BTreeMap<String, String>,
    /// The cases, in order.
    pub(crate) cases: Vec<Outcome>,
}

/// What a case gave.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    name: &'static str,
    title: &'static str,
    goal: &'static str,
    ingress: &'static str,
    outputs: u32,
    flows: u32,
    segmentation: bool,
    rows: Vec<Row>,
    trials: BTreeMap<String, Vec<Trial>>,
}

/// One number of one system.
#[derive(Debug, Serialize)]
struct Row {
    system: String,
    metric: &'static str,
    unit: &'static str,
    sample: Sample,
    /// By what they are without their numbers: of several, the one that sorts last.
    notes: BTreeMap<String, String>,
}

impl Outcome {
    /// Of a case, still empty.
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            name: case.name,
            title: case.title,
            goal: case.goal,
            ingress: case.ingress.name(),
            outputs: case.outputs,
            flows: case.flows,
            segmentation: case.segmentation,
            rows: Vec::new(),
            trials: BTreeMap::new(),
        }
    }

    /// One more measurement of a system.
    pub(crate) fn add(&mut self, system: &str, measured: Measured) {
        // Notes belong to the first number of a measurement.
        let mut notes = Some(measured.notes);
        for value in measured.values {
            let known = |row: &Row| row.system == system && row.metric == value.metric;
            if !self.rows.iter().any(known) {
                let (metric, unit) = (value.metric, value.unit);
                let (sample, notes) = (Sample::default(), BTreeMap::new());
                self.rows.push(Row { system: system.to_owned(), metric, unit, sample, notes });
            }
            let row = self.rows.iter_mut().find(|row| known(row)).expect("just put there");
            row.sample.values.push(value.value);
            for note in notes.take().unwrap_or_default() {
                let kind = note.chars().filter(|letter| !letter.is_ascii_digit()).collect();
                let known = row.notes.entry(kind).or_default();
                if (known.len(), &*known) < (note.len(), &note) {
                    *known = note;
                }
            }
        }
        self.trials.entry(system.to_owned()).or_default().extend(measured.trials);
    }

    /// A trial that belongs to no number of its own.
    pub(crate) fn add_trial(&mut self, of: &str, trial: Trial) {
        self.trials.entry(of.to_owned()).or_default().push(trial);
    }

    /// A table of Markdown, which is a table on a terminal too.
    pub(crate) fn table(&self) -> String {
        let usable = if self.segmentation { "with" } else { "without" };
        let mut text = format!("### {}: {}\n\n", self.name, self.title);
        let _ =
            writeln!(text, "Goal: {}. Input: {}, outputs {usable} USO.\n", self.goal, self.ingress);
        text += "| system | what | median | least to greatest | mcr : this | notes |\n";
        text += "|---|---|---|---|---|---|\n";
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        // By what is measured, in the order in which that came first.
        let metrics: Vec<&str> = self.rows.iter().map(|row| row.metric).collect();
        rows.sort_by_key(|row| metrics.iter().position(|metric| *metric == row.metric));
        for row in rows {
            let Some((median, (least, greatest))) = row.sample.median().zip(row.sample.spread())
            else {
                continue;
            };
            let ours = self.rows.iter().find(|ours| ours.metric == row.metric);
            let ours =
                ours.filter(|ours| ours.system.starts_with("mcr") && ours.system != row.system);
            let ratio = ours.and_then(|ours| ours.sample.median()).filter(|_| median != 0.0);
            let ratio = ratio.map(|ours| format!("{:.2}", ours / median)).unwrap_or_default();
            let notes: Vec<&str> = row.notes.values().map(String::as_str).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} {} | {} to {} (n = {}) | {ratio} | {} |",
                row.system,
                row.metric,
                number(median),
                row.unit,
                number(least),
                number(greatest),
                row.sample.values.len(),
                notes.join("; ")
            );
        }
        text
    }
}

/// With so many digits as mean something.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => {
            let digits = format!("{:.0}", value.abs());
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap_or_default())
                .collect();
            format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
        }
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

impl Report {
    /// All of it as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = "# Benchmark\n\n".to_owned();
        for (name, value) in &self.conditions {
            let _ = writeln!(text, "- {name}: {value}");
        }
        for (system, version) in &self.systems {
            let _ = writeln!(text, "- {system}: {version}");
        }
        for case in &self.cases {
            let _ = write!(text, "\n{}", case.table());
        }
        text
    }

    /// Writes both files; where they are.
    pub(crate) fn write(&self) -> [PathBuf; 2] {
        let json = serde_json::to_string_pretty(self).expect("numbers and texts");
        [file("report.json", &json), file("report.md", &self.markdown())]
    }
}

/// Writes a file of `target/bench`.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench"));
    std::fs::create_dir_all(&directory).expect("target/bench");
    let path = directory.join(name);
    std::fs::write(&path, text).expect("a file in target/bench");
    path
}
