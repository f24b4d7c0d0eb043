//! What is fuzzed: each target reads bytes as they may come from outside and says what must hold. They are run by
//! libFuzzer (`npm run fuzz`), and on the kept corpora by the native tests (`tests/corpora.rs`).

mod addresses;
mod answers;
mod documents;
mod keys;
mod methods;
mod returned;
mod rows;

/// A target: it panics where something does not hold.
pub type Run = fn(&[u8]);

/// Every target, by the name of its corpus.
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

/// The target of that name.
#[allow(dead_code, reason = "the corpora's test takes all of them")]
pub fn named(name: &str) -> Option<Run> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}

/// Text, where the bytes are that.
fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// The master key of what is fuzzed.
fn master() -> &'static sluice_core::keys::Master {
    keys::master()
}
