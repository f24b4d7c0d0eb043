//! Headers of the platform's own requests and responses.

use js_sys::Array;
use sluice_core::http;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Headers;

/// Reads the first `most` headers, names in lower case.
///
/// # Errors
/// If the platform gives something else than names and values.
pub fn read_headers(headers: &Headers, most: usize) -> Result<http::Headers, JsValue> {
    let entries = headers.entries();
    let mut read = http::Headers::new();
    while read.len() < most {
        let next = entries.next()?;
        if next.done() {
            break;
        }
        let pair: Array = next.value().unchecked_into();
        let text = |at| pair.get(at).as_string().ok_or_else(|| JsValue::from("a header is no text"));
        read.push((text(0)?, text(1)?));
    }
    Ok(read)
}

/// Makes headers of names and values.
///
/// # Errors
/// If the platform does not take one.
pub fn new_headers(pairs: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<Headers, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in pairs {
        headers.append(name.as_ref(), value.as_ref())?;
    }
    Ok(headers)
}

/// Changes headers in place, so that what stays has the very bytes that came: as text they would
/// have lost those that are no UTF-8. `changes` is what `sluice_core::http::header_diff` writes. A
/// single change that the platform does not take is left out.
pub fn change_headers(headers: &Headers, changes: &str) {
    let mut lines = changes.split('\n');
    // Where nothing changes, there is one line, with nothing in it.
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        let Some((mark, name)) = line.split_at_checked(1) else { return };
        let changed = match mark {
            "-" => headers.delete(name),
            "=" => headers.set(name, lines.next().unwrap_or_default()),
            _ => headers.append(name, lines.next().unwrap_or_default()),
        };
        if changed.is_err() && mark == "=" {
            let _ = headers.delete(name);
        }
    }
}
