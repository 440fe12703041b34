//! One-shot command line.
fn main() {}
