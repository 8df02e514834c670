//! docs/guide.md says what is: its file loads, and every drop reason is explained.

use mcr::config;
use mcr::types::{Destination, DropReason, Ttl};

fn guide() -> String {
    std::fs::read_to_string("docs/guide.md").expect("docs/guide.md")
}

#[test]
fn the_file_that_shows_every_field_loads() {
    let guide = guide();
    let (_, rest) = guide.split_once("```json5\n").expect("a file");
    let (text, _) = rest.split_once("```").expect("its end");
    let loaded = config::load_text("docs/guide.md", text).expect("loads");
    assert_eq!(loaded.dataplane, config::Dataplane::default(), "defaults are shown");
    assert_eq!(loaded.rules.len(), 1);
    let outputs = &loaded.rules[0].outputs;
    assert_eq!(outputs.iter().map(|output| output.ttl).collect::<Vec<_>>(), [Ttl::default(); 3]);
    assert!(outputs[2].local);
    assert_eq!(outputs[1].destination, Destination::Address([10, 4, 0, 9].into()));
}

#[test]
fn every_drop_reason_has_a_row_and_no_row_lacks_a_reason() {
    let guide = guide();
    let (_, rest) = guide.split_once("Drops in NOT MATCHED, counted in frames").expect("tables");
    let (tables, _) = rest.split_once("The in-kernel filter").expect("their end");
    let mut rows: Vec<&str> = tables
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| {
            let names = line.split('|').nth(1).unwrap_or_default();
            names.split('`').skip(1).step_by(2)
        })
        .collect();
    let mut reasons: Vec<&str> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    rows.sort_unstable();
    reasons.sort_unstable();
    assert_eq!(rows, reasons);
}
