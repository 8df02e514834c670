//! How long the single steps of a packet's way take, for people: `cargo bench --bench hot_path`.
//! What continuous integration compares are instructions, in `instructions.rs`.

mod subject;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Finding the entry of a packet: rules in the table.
#[divan::bench(args = [1, 100, 10_000])]
fn lookup(bencher: Bencher<'_, '_>, rules: u32) {
    let (table, key) = (subject::table(rules), subject::key(rules));
    assert!(subject::looked_up(&table, &key).is_some());
    bencher.bench_local(|| subject::looked_up(black_box(&table), black_box(&key)).is_some());
}

/// Understanding a frame: datagrams in it.
#[divan::bench(args = [1, 40])]
fn decode(bencher: Bencher<'_, '_>, datagrams: u16) {
    let frame = subject::frame(datagrams);
    assert!(subject::decoded(&frame).is_some());
    bencher.counter(ItemsCount::new(datagrams)).bench_local(|| subject::decoded(black_box(&frame)));
}

/// Writing the headers of what goes out with its own source address: datagrams in the frame.
#[divan::bench(args = [1, 40])]
fn rewrite(bencher: Bencher<'_, '_>, datagrams: u16) {
    let frame = subject::frame(datagrams);
    let datagram = subject::decoded(&frame).expect("a whole packet");
    assert!(subject::rewritten(&frame, &datagram) > 0);
    bencher
        .counter(ItemsCount::new(datagrams))
        .bench_local(|| subject::rewritten(black_box(&frame), black_box(&datagram)));
}

/// Compiling a table: rules in it.
#[divan::bench(args = [1, 100, 10_000], sample_count = 20)]
fn build(bencher: Bencher<'_, '_>, rules: u32) {
    bencher
        .counter(ItemsCount::new(rules))
        .with_inputs(|| subject::builder(rules))
        .bench_local_values(|builder| builder.build(1));
}
