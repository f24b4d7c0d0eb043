//! Turns the folder of built-in profiles into Rust, for the core's build script.

use crate::document::{self, Tree};
use crate::read::read;
use std::fmt::Write;

/// Returns the table of the built-in profiles in that folder, as Rust.
///
/// # Errors
/// It fails with every fault of every file, each with its file and field.
pub fn table(folder: &str) -> Result<String, Vec<String>> {
    let mut faults = Vec::new();
    let mut rows = String::new();
    for name in names(folder).map_err(|fault| vec![fault])? {
        let file = format!("{folder}/{name}.json");
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

fn names(folder: &str) -> Result<Vec<String>, String> {
    let cannot = |error: std::io::Error| format!("cannot list {folder}: {error}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let file = entry.map_err(cannot)?.file_name();
        let file = file.to_string_lossy();
        match file.strip_suffix(".json") {
            Some(name) => names.push(name.to_owned()),
            None => return Err(format!("{folder}/{file} is not a profile: name it NAME.json or move it away")),
        }
    }
    names.sort();
    Ok(names)
}

/// Returns the profile's text without blanks and notes, so that the Wasm stays small.
fn check(name: &str, file: &str) -> Result<String, Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|error| vec![format!("cannot read {file}: {error}")])?;
    let mut value: Tree = serde_json::from_str(&text).map_err(|fault| vec![format!("{file} is not json: {fault}")])?;
    read(name, &value).map_err(|faults| {
        faults.into_iter().map(|(pointer, detail)| format!("{file}: field {pointer}: {detail}")).collect::<Vec<_>>()
    })?;
    if let Tree::Object(fields) = &mut value {
        fields.retain(|(field, _)| field != "notes");
    }
    Ok(document::text(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the table of a folder with one profile in it.
    fn with(text: &str) -> Result<String, Vec<String>> {
        let folder = std::env::temp_dir().join(format!("sluice-profiles-{}-{}", std::process::id(), text.len()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("acme.json"), text).unwrap();
        let made = table(folder.to_str().unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
        made.map_err(|faults| faults.iter().map(|fault| fault.replace(folder.to_str().unwrap(), "")).collect())
    }

    #[test]
    fn a_new_file_is_a_new_vendor() {
        let rust = with(
            r#"{"title": "Acme", "notes": ["why"], "limits": [{"name": "a", "kind": "rolling_day", "calls": 1}]}"#,
        );
        let rust = rust.unwrap();
        assert!(rust.contains("(\"acme\", ") && !rust.contains("why"), "{rust}");
    }

    #[test]
    fn a_profile_that_does_not_parse_is_named_with_each_of_its_faults() {
        let faults = with(r#"{"limits": [{"name": "a", "kind": "hourly"}], "answers": [{"status": 42}], "colour": 1}"#);
        let faults = faults.unwrap_err().join("\n");
        for part in
            ["/acme.json: field /limits/0/kind: must be one of", "field /answers/0/status", "field /colour: unknown"]
        {
            assert!(faults.contains(part), "{part} is not in\n{faults}");
        }
        let faults = with("{\"title\": ").unwrap_err();
        assert!(matches!(&faults[..], [fault] if fault.starts_with("/acme.json is not json:")), "{faults:?}");
    }
}
