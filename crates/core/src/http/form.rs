//! Decodes the parameters of queries and forms.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use super::answer::value;

/// The longest name of a field that is read, bytes.
const LONGEST_NAME: usize = 256;

/// Whether a body may be a form, urlencoded or multipart: its type says so, or is missing.
pub fn is_any(headers: &[(String, String)]) -> bool {
    kind(headers).is_none_or(|kind| kind.contains("form"))
}

/// Yields the fields of a form, urlencoded or multipart. A body of another type has none.
pub fn fields(headers: &[(String, String)], body: &[u8], mut take: impl FnMut(&str, &str)) {
    if !is_any(headers) {
        return;
    }
    if kind(headers).is_some_and(|kind| kind.contains("multipart")) {
        return parts(body, take);
    }
    each(body, &mut take);
}

/// Yields the parameters of a query or an urlencoded form. Some vendors separate them with `;`,
/// which is accepted too.
pub fn each(text: &[u8], mut take: impl FnMut(&str, &str)) {
    for parameter in text.split(|byte| matches!(byte, b'&' | b';')) {
        for (name, value) in form_urlencoded::parse(parameter).filter(|(name, _)| name.len() <= LONGEST_NAME) {
            take(&name, &value);
        }
    }
}

/// Yields the named parts of a multipart form, each with the first line of its content.
fn parts(body: &[u8], mut take: impl FnMut(&str, &str)) {
    let find = |from: usize, mark: &[u8]| {
        let found = body.get(from..)?.windows(mark.len()).position(|found| found.eq_ignore_ascii_case(mark))?;
        Some(from + found + mark.len())
    };
    let (mut from, mut begin) = (0, 0);
    while let Some(at) = find(from, b"name=") {
        from = at;
        if begin <= at {
            // The value begins behind the blank line that ends the part's head.
            let Some(behind) = find(at, b"\n\r\n").or_else(|| find(at, b"\n\n")) else { return };
            begin = behind;
        }
        let line = |from: usize| body.get(from..body.len().min(from + LONGEST_NAME)).unwrap_or_default();
        let name = match line(at).strip_prefix(b"\"") {
            Some(quoted) => quoted.split(|byte| *byte == b'"').next(),
            None => line(at).split(|byte| matches!(byte, b';' | b'\r' | b'\n' | b' ')).next(),
        };
        let value = line(begin).split(|byte| matches!(byte, b'\r' | b'\n')).next();
        take(&String::from_utf8_lossy(name.unwrap_or_default()), &String::from_utf8_lossy(value.unwrap_or_default()));
    }
}

fn kind(headers: &[(String, String)]) -> Option<String> {
    value(headers, "content-type").map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, body: &str) -> Vec<(String, String)> {
        let headers = [("content-type".to_owned(), kind.to_owned())];
        let mut found = Vec::new();
        fields(&headers, body.as_bytes(), |name, value| found.push((name.to_owned(), value.to_owned())));
        found
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_is_read_as_vendors_read_it() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(read(form, "a=b+c&%5Fd=%65;e&=f"), pairs(&[("a", "b c"), ("_d", "e"), ("e", ""), ("", "f")]));
        assert_eq!(read(form, "a+b%20c%zz%4"), pairs(&[("a b c%zz%4", "")]));
        assert!(read("application/json", "a=b").is_empty());
    }

    #[test]
    fn the_parts_of_a_multipart_form_are_read() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n\
            --b\r\nContent-Disposition: form-data; name=file; filename=\"x\"\r\nContent-Type: text/csv\r\n\r\na,b\r\n--b--";
        let found = read("multipart/form-data; boundary=b", body);
        assert!(found.contains(&("_method".to_owned(), "DELETE".to_owned())), "{found:?}");
        assert!(found.contains(&("file".to_owned(), "a,b".to_owned())), "{found:?}");
    }
}
