//! Scenarios in network namespaces.
fn main() {}
