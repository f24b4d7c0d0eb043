//! Runs libFuzzer on the target that `SLUICE_FUZZ` names. `npm run fuzz` starts it.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static TARGET: OnceLock<targets::Run> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("SLUICE_FUZZ").unwrap_or_default();
        targets::named(&name).unwrap_or_else(|| panic!("SLUICE_FUZZ names no target of fuzz/targets"))
    });
    run(data);
});
