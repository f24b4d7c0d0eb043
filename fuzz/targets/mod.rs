//! The fuzz targets. Each reads bytes as they may come from outside, and panics where something
//! does not hold that must. libFuzzer runs them (`npm run fuzz`), and the native tests run them on
//! the corpora (`crates/core/tests/corpora.rs`).

mod addresses;
mod answers;
mod documents;
mod keys;
mod methods;
mod returned;
mod rows;

/// A target, which panics where something does not hold.
pub type Run = fn(&[u8]);

/// Every target, with the name of its corpus.
pub const ALL: [(&str, Run); 11] = [
    ("address", addresses::address),
    ("headers", addresses::headers),
    ("json", documents::json),
    ("policy", documents::policy),
    ("profile", documents::profile),
    ("body", answers::body),
    ("key", keys::key),
    ("seek", keys::seek),
    ("method", methods::method),
    ("row", rows::row),
    ("returned", returned::returning),
];

/// Returns the target of a name.
#[allow(dead_code, reason = "the test of the corpora runs all targets")]
pub fn named(name: &str) -> Option<Run> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}

/// Returns the bytes as text, or an empty text if they are not UTF-8.
fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// Returns the master key of what is fuzzed.
fn master() -> &'static sluice_core::keys::Master {
    keys::master()
}
