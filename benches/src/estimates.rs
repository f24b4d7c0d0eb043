//! Reads Criterion's results, and writes the benchmarks' figures as JSON.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder into which Criterion writes its results.
pub struct Estimates(PathBuf);

impl Estimates {
    /// Names a subfolder of a folder of the build.
    pub fn new(folder: &str) -> Self {
        Self(Path::new(folder).join("criterion"))
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Returns the median of a benchmark in nanoseconds, or null if the benchmark has not run.
    pub fn median(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.0.join(name).join("new/estimates.json")).unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        value["median"]["point_estimate"].clone()
    }
}

/// Writes figures to the file that `SLUICE_BENCH_JSON` names, or prints them.
#[expect(clippy::expect_used, reason = "a run without the file that was asked for is of no use")]
pub fn report(figures: &Value) {
    match std::env::var_os("SLUICE_BENCH_JSON") {
        Some(file) => std::fs::write(file, figures.to_string()).expect("SLUICE_BENCH_JSON names a file to write"),
        None => println!("{figures:#}"),
    }
}
