//! What Criterion has found, to be told as JSON.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where Criterion writes down what it finds.
pub struct Estimates(PathBuf);

impl Estimates {
    /// In a folder of the build's own.
    pub fn new(folder: &str) -> Self {
        Self(Path::new(folder).join("criterion"))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The median of a benchmark, nanoseconds; null where it has not run.
    pub fn median(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.0.join(name).join("new/estimates.json")).unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        value["median"]["point_estimate"].clone()
    }
}

/// Writes figures to the file that `SLUICE_BENCH_JSON` names, or prints them.
#[expect(clippy::expect_used, reason = "who asks for figures in a file wants no run without")]
pub fn tell(figures: &Value) {
    match std::env::var_os("SLUICE_BENCH_JSON") {
        Some(file) => std::fs::write(file, figures.to_string()).expect("SLUICE_BENCH_JSON names a file to write"),
        None => println!("{figures:#}"),
    }
}
