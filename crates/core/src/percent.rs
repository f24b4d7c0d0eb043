//! Percent-coding (RFC 3986, section 2.1). A `%` that encodes nothing stands for itself.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text with all but RFC 3986's unreserved characters encoded.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// What [`encoded`] made of a text, undone. What is not UTF-8 then is replaced by U+FFFD.
pub fn decoded(text: &[u8]) -> String {
    percent_decode(text).decode_utf8_lossy().into_owned()
}

/// The bytes of a text, decoded once.
pub fn bytes(text: &[u8]) -> impl Iterator<Item = u8> {
    percent_decode(text)
}

/// The byte whose encoding stands at a text's beginning.
pub fn first(text: &[u8]) -> Option<u8> {
    let mut decoded = percent_decode(text.get(..3)?);
    // Three characters that are one byte.
    decoded.next().filter(|_| decoded.next().is_none())
}

/// The byte that two hexadecimal digits say.
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
