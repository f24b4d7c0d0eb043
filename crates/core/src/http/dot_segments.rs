//! Finds dot segments in any encoding. A vendor, or a proxy before it, may decode a path more often
//! than we do, and then `/a/%252e%252e/b` is another path than the one that `routes` allowed.

use crate::percent;
use std::borrow::Cow;

/// How many rounds of decoding are tried before a path counts as hiding something. Honest clients
/// encode once, proxies once more.
const ROUNDS: usize = 5;

/// Whether some reader of this path could find a `.` or `..` segment in it.
pub(super) fn may_hide_dot_segment(path: &str) -> bool {
    if !path.bytes().any(|byte| matches!(byte, b'.' | b'%')) {
        return false;
    }
    let mut bytes = Cow::Borrowed(path.as_bytes());
    for _ in 0..=ROUNDS {
        if bytes.split(|byte| matches!(byte, b'/' | b'\\')).any(is_dots) {
            return true;
        }
        match plain(&bytes) {
            Some(next) => bytes = Cow::Owned(next),
            None => return false,
        }
    }
    true
}

/// Whether a segment is `.` or `..`, also after what lax readers cut off: path parameters (`..;x`),
/// a query or the end of a C string that is decoded late, blanks.
fn is_dots(segment: &[u8]) -> bool {
    let end = segment.iter().position(|byte| matches!(byte, b';' | b'?' | b'#' | 0)).unwrap_or(segment.len());
    let name = segment.get(..end).unwrap_or_default().trim_ascii();
    matches!(name, b"." | b"..")
}

/// Decodes once, or returns `None` when there is nothing to decode.
fn plain(bytes: &[u8]) -> Option<Vec<u8>> {
    let unescaped = unescaped(bytes);
    let folded = folded(unescaped.as_deref().unwrap_or(bytes));
    folded.or(unescaped)
}

/// Decodes `%XX` to its byte and `%uXXXX` (IIS) to its character.
fn unescaped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut changed = false;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let Some((code, length)) = (if first == b'%' { escape(after) } else { None }) else {
            out.push(first);
            continue;
        };
        match u8::try_from(code) {
            Ok(byte) => out.push(byte),
            Err(_) => {
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = after.get(length..).unwrap_or_default();
        changed = true;
    }
    changed.then_some(out)
}

/// Returns the code after a `%`, and the number of bytes that encode it.
fn escape(after: &[u8]) -> Option<(u32, usize)> {
    let pair = |high: &u8, low: &u8| percent::pair(*high, *low);
    match after {
        [b'u' | b'U', a, b, c, d, ..] => Some((u16::from_be_bytes([pair(a, b)?, pair(c, d)?]).into(), 5)),
        [a, b, ..] => Some((pair(a, b)?.into(), 2)),
        _ => None,
    }
}

/// Replaces overlong UTF-8, and characters that some readers take for `.`, `/` or `\`, by these.
fn folded(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.is_ascii() {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut changed = false;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let Some((text, length)) = look_alike(first, after) else {
            out.push(first);
            continue;
        };
        out.extend_from_slice(text);
        rest = after.get(length..).unwrap_or_default();
        changed = true;
    }
    changed.then_some(out)
}

/// Returns what a lax reader makes of a multi-byte character that starts with `first`, and how many
/// more bytes it has.
fn look_alike(first: u8, after: &[u8]) -> Option<(&'static [u8], usize)> {
    let (length, high) = match first {
        0xC0..=0xDF => (1, first & 0x1F),
        0xE0..=0xEF => (2, first & 0x0F),
        0xF0..=0xF7 => (3, first & 0x07),
        0xF8..=0xFB => (4, first & 0x03),
        0xFC..=0xFD => (5, first & 0x01),
        _ => return None,
    };
    // Lax readers use the low six bits of any byte that follows, so to them `%c0%2e` is a dot as
    // `%c0%ae` is.
    let mut code = u32::from(high);
    for byte in after.get(..length)? {
        code = (code << 6) | u32::from(byte & 0x3F);
    }
    let text: &[u8] = match code {
        0x2E | 0xFF0E | 0x2024 => b".",
        0x2025 => b"..",
        0x2F | 0xFF0F | 0x2044 | 0x2215 => b"/",
        0x5C | 0xFF3C | 0x2216 => b"\\",
        0x25 | 0xFF05 => b"%",
        0x3B | 0xFF1B => b";",
        _ => return None,
    };
    Some((text, length))
}

#[cfg(test)]
mod tests {
    use super::may_hide_dot_segment as hides;
    use proptest::prelude::*;

    #[test]
    fn plain_dot_segments_are_found() {
        for path in ["/..", "/.", "/a/../b", "/a/./b", "/a/..", "../a", "/a\\..\\b", "/a/..;x=1/b", "/a/.;/b"] {
            assert!(hides(path), "{path}");
        }
    }

    #[test]
    fn encoded_dot_segments_are_found_however_often_they_are_encoded() {
        for path in [
            "/%2e%2e/b",
            "/%2E./b",
            "/.%2e",
            "/%252e%252e/b",
            "/%25252e%25252e/b",
            "/a%2f..%2fb",
            "/a%2F%2e%2e%2Fb",
            "/a%5c..%5cb",
            "/a%255c%252e%252e",
            "/..%3bx/b",
            "/..%253bx/b",
            "/..%00/b",
            "/..%20/b",
            "/..%3fx",
            "/..%23x",
            "/%2%65%2%65/b",
            "/%2525252525252e%2525252525252e/b",
        ] {
            assert!(hides(path), "{path}");
        }
    }

    #[test]
    fn overlong_and_look_alike_dots_are_found() {
        for path in [
            "/%c0%ae%c0%ae/b",
            "/%c0%2e%c0%2e/b",
            "/%e0%80%ae%e0%80%ae/b",
            "/%f0%80%80%ae./b",
            "/%f8%80%80%80%ae./b",
            "/%fc%80%80%80%80%ae./b",
            "/a%c0%af..%c0%afb",
            "/a%c1%9c..%c1%9cb",
            "/%u002e%u002e/b",
            "/%uff0e%uff0e/b",
            "/%ef%bc%8e%ef%bc%8e/b",
            "/a%ef%bc%8f..%ef%bc%8fb",
            "/%e2%80%a5/b",
            "/%25c0%25ae%25c0%25ae/b",
        ] {
            assert!(hides(path), "{path}");
        }
    }

    #[test]
    fn honest_paths_pass() {
        for path in [
            "",
            "/",
            "//evil",
            "/a//b/",
            "/rest/v1/leads.json",
            "/.well-known/x",
            "/a..b/c.",
            "/.../x",
            "/..a/x",
            "/a@b.com",
            "/lists/a%40b.com/x",
            "/a%2Fb",
            "/a%2fb.json",
            "/100%25/x",
            "/%E2%82%AC.txt",
            "/%zz/%",
            "/%2",
            "/a;b=../c",
            "/v59.0/sobjects/a.b%20c",
        ] {
            assert!(!hides(path), "{path}");
        }
    }

    #[test]
    fn a_path_encoded_deeper_than_anyone_does_is_refused() {
        assert!(hides(&format!("/%{}41", "25".repeat(9))));
        assert!(!hides("/%252541"));
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic(path in "[ -~]{0,60}") {
            hides(&path);
        }

        #[test]
        fn each_way_to_write_two_dots_is_found(
            first in prop::sample::select(vec![".", "%2e", "%2E", "%252e", "%c0%ae", "%e0%80%ae", "%u002e", "%25252E"]),
            second in prop::sample::select(vec![".", "%2e", "%2E", "%252e", "%c0%ae", "%e0%80%ae", "%u002e", "%25252E"]),
            before in prop::sample::select(vec!["/", "%2f", "%5c", "\\", "/a%2f", "/x//", "%252F"]),
            after in prop::sample::select(vec!["", "/", "%2f", "/b", ";x/b", "%5Cb", "%3b/", "%252fb"]),
        ) {
            let path = format!("/a{before}{first}{second}{after}");
            prop_assert!(hides(&path), "{}", path);
        }
    }
}
