//! hearken beside its peers: every ratio is formed inside one round of one run.
//!
//! Run with `cargo run --release`.

mod deferred;
#[path = "../../benches/measure/mod.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod measure;

mod streams;

fn main() {
    println!("the median of {} rounds (lowest to highest)\n", measure::ROUNDS);
    deferred::print();
    println!();
    streams::print();
}
