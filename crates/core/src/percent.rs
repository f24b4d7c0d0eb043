//! Percent-coding (RFC 3986, section 2.1). A `%` that is not followed by two hexadecimal digits
//! stands for itself.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Every character but RFC 3986's unreserved ones.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes all characters of a text but RFC 3986's unreserved ones.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Decodes a text. Bytes that are not UTF-8 after that are replaced by U+FFFD.
pub fn decoded(text: &[u8]) -> String {
    percent_decode(text).decode_utf8_lossy().into_owned()
}

/// Decodes a text once and gives its bytes.
pub fn bytes(text: &[u8]) -> impl Iterator<Item = u8> {
    percent_decode(text)
}

/// Returns the byte that is percent-encoded at the beginning of a text, if one is.
pub fn first(text: &[u8]) -> Option<u8> {
    let mut decoded = percent_decode(text.get(..3)?);
    // The three characters must have decoded to a single byte.
    decoded.next().filter(|_| decoded.next().is_none())
}

/// Returns the byte that two hexadecimal digits stand for.
pub fn pair(high: u8, low: u8) -> Option<u8> {
    first(&[b'%', high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_encodes_nothing_stands_for_itself() {
        for (text, plain) in
            [("a%20b", "a b"), ("%zz%4", "%zz%4"), ("%", "%"), ("%+5", "%+5"), ("%e2%82%ac", "€"), ("%ff", "\u{fffd}")]
        {
            assert_eq!(decoded(text.as_bytes()), plain);
        }
        for text in ["a b+c/é", "-._~", "%41"] {
            assert_eq!(decoded(encoded(text).as_bytes()), text);
        }
        assert_eq!(encoded("a b/é-._~*"), "a%20b%2F%C3%A9-._~%2A");
    }

    #[test]
    fn a_byte_is_found_where_its_encoding_stands() {
        assert_eq!(
            (first(b"%2Fx"), first(b"%2f"), first(b"%25%32"), first(b"%00")),
            (Some(b'/'), Some(b'/'), Some(b'%'), Some(0))
        );
        for text in [&b"%2"[..], b"", b"a%2", b"abc", b"%2g", b"%+2", b"% 2"] {
            assert_eq!(first(text), None);
        }
        assert_eq!((pair(b'5', b'F'), pair(b'5', b'g'), pair(b'%', b'5')), (Some(0x5f), None, None));
    }
}
