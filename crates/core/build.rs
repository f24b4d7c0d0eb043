//! Reads every vendor's profile while building, so that one that does not parse fails the build, naming file and field.

#![allow(dead_code)] // The reader is the crate's own; here only whether it succeeds matters.
#![allow(missing_docs)]

#[path = "src/document.rs"]
mod document;
#[path = "src/upstream/profile/facts.rs"]
mod facts;
#[path = "src/upstream/profile/fields.rs"]
mod fields;
#[path = "src/upstream/profile/names.rs"]
mod names;
#[path = "src/upstream/profile/read.rs"]
mod read;
#[path = "src/upstream/profile/table.rs"]
mod table;

use std::path::Path;
use std::process::ExitCode;

const FOLDER: &str = "src/upstream/profiles";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed=src/upstream/profile");
    println!("cargo::rerun-if-changed=src/document.rs");
    match table::table(FOLDER) {
        Ok(table) => {
            let out = std::env::var_os("OUT_DIR").unwrap_or_default();
            match std::fs::write(Path::new(&out).join("profiles.rs"), table) {
                Ok(()) => return ExitCode::SUCCESS,
                Err(error) => println!("cargo::error=cannot write the table of profiles: {error}"),
            }
        }
        Err(faults) => faults.iter().for_each(|fault| println!("cargo::error={fault}")),
    }
    ExitCode::FAILURE
}
