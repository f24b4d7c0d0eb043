//! What the benchmarks share. Each benchmark is a program:
//! `cargo bench -p sluice-bench --bench core`.

pub mod crowd;
pub mod estimates;
pub mod marketo;
pub mod tenant;
