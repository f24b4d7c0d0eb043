//! Reads every vendor's profile while building, so that one that does not parse fails the build, naming file and field.

#![allow(dead_code)] // The reader is the crate's own; here only whether it succeeds matters.
#![allow(missing_docs)]

#[path = "src/vendor/profile/facts.rs"]
mod facts;
#[path = "src/vendor/profile/fields.rs"]
mod fields;
#[path = "src/json/mod.rs"]
mod json;
#[path = "src/vendor/profile/read.rs"]
mod read;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

const FOLDER: &str = "src/vendor/profiles";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed=src/vendor/profile");
    println!("cargo::rerun-if-changed=src/json");
    match table() {
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

/// The table of built-in profiles, as Rust; or every fault of every file.
fn table() -> Result<String, Vec<String>> {
    let mut faults = Vec::new();
    let mut rows = String::new();
    for name in names().map_err(|fault| vec![fault])? {
        let file = format!("{FOLDER}/{name}.json");
        match check(&name, &file) {
            Ok(text) => {
                let _ = writeln!(rows, "    ({name:?}, {text:?}),");
            }
            Err(mut more) => faults.append(&mut more),
        }
    }
    let table =
        format!("/// The built-in profiles: name and JSON.\npub const BUILT_IN: &[(&str, &str)] = &[\n{rows}];\n");
    if faults.is_empty() { Ok(table) } else { Err(faults) }
}

fn names() -> Result<Vec<String>, String> {
    let cannot = |error: std::io::Error| format!("cannot list {FOLDER}: {error}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(FOLDER).map_err(cannot)? {
        let file = entry.map_err(cannot)?.file_name();
        let file = file.to_string_lossy();
        match file.strip_suffix(".json") {
            Some(name) => names.push(name.to_owned()),
            None => return Err(format!("{FOLDER}/{file} is not a profile: name it NAME.json or move it away")),
        }
    }
    names.sort();
    Ok(names)
}

/// The profile's text without its blanks, so that the Wasm stays small.
fn check(name: &str, file: &str) -> Result<String, Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|error| vec![format!("cannot read {file}: {error}")])?;
    let mut value = json::read(&text).map_err(|fault| vec![format!("{file} is not json: {fault}")])?;
    read::read(name, &value).map_err(|faults| {
        faults.into_iter().map(|(pointer, detail)| format!("{file}: field {pointer}: {detail}")).collect::<Vec<_>>()
    })?;
    if let json::Value::Object(fields) = &mut value {
        fields.retain(|(field, _)| field != "notes");
    }
    Ok(value.to_string())
}
