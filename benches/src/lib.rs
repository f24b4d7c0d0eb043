//! What the benchmarks share. Each is a program of its own: `cargo bench -p sluice-bench --bench core`.

pub mod crowd;
pub mod estimates;
pub mod marketo;
pub mod tenant;
