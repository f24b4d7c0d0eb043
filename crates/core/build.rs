//! Reads every vendor's profile while building. If one does not parse, the build fails and names
//! the file and the field.

use sluice_profile::table::table;
use std::path::Path;
use std::process::ExitCode;

const FOLDER: &str = "src/upstream/profiles";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={FOLDER}");
    match table(FOLDER) {
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
