//! Undoes `Content-Encoding` for the head of a body: gzip and deflate, within one buffer of a fixed
//! size.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use super::HEAD_BYTES;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use miniz_oxide::inflate::{decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit};

/// The longest gzip header that is read, bytes. It may hold a file name.
const LONGEST_HEADER: usize = 1_024;

/// Decodes a body. The first bytes tell its coding: servers write `UTF-8`, `none` or `binary` into
/// `Content-Encoding`, and name codings that they have not applied.
pub(super) enum Decoder {
    /// No byte has come yet. The flag tells whether `deflate` was named: its bare streams can begin
    /// with any byte.
    Unseen(bool),
    /// An `x` has come, with which a zlib stream begins, and perhaps a text.
    Zlib(bool),
    Plain,
    Gzip(Inflate),
    Deflate(Inflate),
}

impl Decoder {
    /// Makes a decoder for a body with this `Content-Encoding`. A coding that cannot be undone here
    /// (`br`, `zstd`) passes through unchanged, and no reader finds anything in it.
    pub(super) fn new(encoding: Option<&str>) -> Self {
        Self::Unseen(encoding.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("deflate")))
    }

    /// Decodes the next bytes. Returns whether further bytes could yield more.
    pub(super) fn feed(&mut self, bytes: &[u8], out: impl FnOnce(&[u8])) -> bool {
        match self {
            Self::Unseen(deflate) => {
                let deflate = *deflate;
                let Some((first, rest)) = bytes.split_first() else { return true };
                if *first == b'x' && rest.is_empty() {
                    *self = Self::Zlib(deflate);
                    return true;
                }
                *self = Self::seen(*first, rest.first().copied(), deflate);
                self.feed(bytes, out)
            }
            Self::Zlib(deflate) => {
                let deflate = *deflate;
                let Some(second) = bytes.first() else { return true };
                *self = Self::seen(b'x', Some(*second), deflate);
                self.feed(&[b"x", bytes].concat(), out)
            }
            Self::Plain => {
                out(bytes);
                true
            }
            Self::Gzip(inflate) => inflate.feed(bytes, gzip_header, out),
            Self::Deflate(inflate) => inflate.feed(bytes, zlib_header, out),
        }
    }

    /// Chooses the decoder by the first two bytes. No bare deflate stream of JSON begins as JSON
    /// does: `{` and `[` would be the head of a block whose first character is not ASCII (RFC 1951,
    /// section 3.2.6), and a byte order mark would be that of a reserved block type.
    fn seen(first: u8, second: Option<u8>, deflate: bool) -> Self {
        // A stream with a preset dictionary could not be decoded, and `x ` is a word.
        let zlib = first == b'x' && second.is_some_and(|second| second & 0x20 == 0 && is_zlib(first, second));
        match first {
            0x1F => Self::Gzip(Inflate::new()),
            b'{' | b'[' | 0xEF => Self::Plain,
            _ if deflate || zlib => Self::Deflate(Inflate::new()),
            _ => Self::Plain,
        }
    }
}

/// The state of a header that may still be incomplete.
enum Header {
    Unfinished,
    /// The compressed data begins at this byte, with these flags.
    Ends(usize, u32),
    Wrong,
}

/// An inflating stream. All output stays in the buffer, since the format refers back to it.
pub(super) struct Inflate {
    header: Option<Vec<u8>>,
    state: Box<DecompressorOxide>,
    flags: u32,
    buffer: Vec<u8>,
    filled: usize,
}

impl Inflate {
    fn new() -> Self {
        Self { header: Some(Vec::new()), state: Box::default(), flags: 0, buffer: vec![0; HEAD_BYTES], filled: 0 }
    }

    fn feed(&mut self, bytes: &[u8], read: impl Fn(&[u8]) -> Header, out: impl FnOnce(&[u8])) -> bool {
        let Some(mut header) = self.header.take() else {
            return self.inflate(bytes, out);
        };
        header.extend_from_slice(bytes);
        match read(&header) {
            Header::Ends(at, flags) => {
                self.flags = flags;
                self.inflate(header.get(at..).unwrap_or_default(), out)
            }
            Header::Unfinished if header.len() <= LONGEST_HEADER => {
                self.header = Some(header);
                true
            }
            Header::Unfinished | Header::Wrong => false,
        }
    }

    fn inflate(&mut self, bytes: &[u8], out: impl FnOnce(&[u8])) -> bool {
        let flags = self.flags | TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, _, written) = decompress(&mut self.state, bytes, &mut self.buffer, self.filled, flags);
        let end = self.filled.saturating_add(written);
        out(self.buffer.get(self.filled..end).unwrap_or_default());
        self.filled = end;
        status == TINFLStatus::NeedsMoreInput
    }
}

/// Reads a gzip header (RFC 1952, section 2.3).
fn gzip_header(bytes: &[u8]) -> Header {
    let (&[first, second, method, flags, ..], Some(mut rest)) = (bytes, bytes.get(10..)) else {
        let magic = [0x1F, 0x8B, 8];
        let right = bytes.iter().zip(magic).all(|(byte, expected)| *byte == expected);
        return if right { Header::Unfinished } else { Header::Wrong };
    };
    if (first, second, method) != (0x1F, 0x8B, 8) || flags & 0xE0 != 0 {
        return Header::Wrong;
    }
    let mut skip = |extra: bool, length: &dyn Fn(&[u8]) -> Option<usize>| {
        if !extra {
            return Some(());
        }
        rest = rest.get(length(rest)?..)?;
        Some(())
    };
    let field = |rest: &[u8]| Some(2 + usize::from(u16::from_le_bytes([*rest.first()?, *rest.get(1)?])));
    let text = |rest: &[u8]| rest.iter().position(|byte| *byte == 0).map(|end| end + 1);
    let all = skip(flags & 4 != 0, &field)
        .and_then(|()| skip(flags & 8 != 0, &text))
        .and_then(|()| skip(flags & 16 != 0, &text))
        .and_then(|()| skip(flags & 2 != 0, &|_: &[u8]| Some(2)));
    match all {
        Some(()) => Header::Ends(bytes.len() - rest.len(), 0),
        None => Header::Unfinished,
    }
}

/// Reads a zlib header. `deflate` is zlib's format (RFC 9110, section 8.4.1.2), but some servers
/// send the bare stream.
fn zlib_header(bytes: &[u8]) -> Header {
    let [first, second, ..] = bytes else { return Header::Unfinished };
    Header::Ends(0, if is_zlib(*first, *second) { TINFL_FLAG_PARSE_ZLIB_HEADER } else { 0 })
}

/// Whether a zlib stream begins with these bytes (RFC 1950, section 2.2).
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0F == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

/// The most to which a whole body is inflated, bytes: four times the longest body that is examined.
const MOST_INFLATED: usize = 4 << 20;

/// Undoes the `Content-Encoding` of a whole body, as far as it can be decoded. It is `None` where
/// there is no encoding, or one that cannot be undone here.
pub fn inflated(encoding: Option<&str>, bytes: &[u8]) -> Option<Vec<u8>> {
    let header = match encoding?.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => gzip_header(bytes),
        "deflate" => zlib_header(bytes),
        _ => return None,
    };
    let Header::Ends(at, flags) = header else { return None };
    let bytes = bytes.get(at..)?;
    let whole = match flags {
        0 => decompress_to_vec_with_limit(bytes, MOST_INFLATED),
        _ => decompress_to_vec_zlib_with_limit(bytes, MOST_INFLATED),
    };
    Some(whole.unwrap_or_else(|broken| broken.output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
    use proptest::prelude::*;

    /// Makes a gzip stream with the optional header fields of `flags`.
    pub(super) fn gzip(data: &[u8], flags: u8) -> Vec<u8> {
        let mut out = vec![0x1F, 0x8B, 8, flags, 1, 2, 3, 4, 0, 255];
        if flags & 4 != 0 {
            out.extend([3, 0, 9, 9, 9]);
        }
        if flags & 8 != 0 {
            out.extend(b"name.json\0");
        }
        if flags & 16 != 0 {
            out.extend(b"comment\0");
        }
        if flags & 2 != 0 {
            out.extend([7, 7]);
        }
        out.extend(compress_to_vec(data, 6));
        out.extend([0; 8]);
        out
    }

    fn decoded(encoding: &str, stream: &[u8], chunk: usize) -> Vec<u8> {
        let mut decoder = Decoder::new(Some(encoding));
        let mut out = Vec::new();
        for piece in stream.chunks(chunk.max(1)) {
            if !decoder.feed(piece, |bytes| out.extend_from_slice(bytes)) {
                break;
            }
        }
        out
    }

    const TEXT: &[u8] = br#"{"requestId":"a","success":false,"errors":[{"code":"606","message":"x"}]}"#;

    #[test]
    fn gzip_is_undone_with_any_header_in_pieces_of_any_size() {
        for flags in 0..32 {
            for chunk in [1, 2, 7, 1_000] {
                assert_eq!(decoded("GZip", &gzip(TEXT, flags), chunk), TEXT, "flags {flags} in pieces of {chunk}");
            }
        }
    }

    #[test]
    fn deflate_is_undone_with_and_without_its_wrapping() {
        for chunk in [1, 3, 1_000] {
            assert_eq!(decoded("deflate", &compress_to_vec_zlib(TEXT, 6), chunk), TEXT);
            assert_eq!(decoded("deflate", &compress_to_vec(TEXT, 6), chunk), TEXT);
        }
    }

    #[test]
    fn what_is_not_encoded_comes_as_it_is() {
        assert_eq!(decoded("identity", TEXT, 5), TEXT);
        assert_eq!(decoded("", TEXT, 5), TEXT);
    }

    #[test]
    fn the_first_bytes_tell_the_coding_whatever_the_field_says() {
        let packed = [gzip(TEXT, 0), compress_to_vec_zlib(TEXT, 6)];
        for encoding in [
            "UTF-8",
            "utf8",
            "none",
            "binary",
            "identity",
            "",
            "gzip",
            "x-gzip",
            "deflate",
            "br",
            "gzip, gzip",
            "ISO-8859-1",
        ] {
            for chunk in [1, 2, 1_000] {
                assert_eq!(decoded(encoding, TEXT, chunk), TEXT, "{encoding}");
                for stream in &packed {
                    assert_eq!(decoded(encoding, stream, chunk), TEXT, "{encoding}");
                }
            }
        }
        for text in ["xy", "x is a letter", "<a>8</a>", "8", "  {}", "\n[]", "plain"] {
            for chunk in [1, 1_000] {
                assert_eq!(decoded("none", text.as_bytes(), chunk), text.as_bytes(), "{text} in pieces of {chunk}");
            }
        }
    }

    #[test]
    fn a_coding_that_cannot_be_undone_comes_as_it_is() {
        let stream = [0x1B, 0x4B, 0x00, 0x00, 0x04, 0x4A];
        assert_eq!(decoded("br", &stream, 3), stream);
    }

    #[test]
    fn a_whole_body_is_inflated_as_far_as_it_can_be() {
        let text: Vec<u8> = (0..2_000_u32).flat_map(|n| format!("token={};", n * n).into_bytes()).collect();
        assert_eq!(inflated(Some("gzip"), &gzip(&text, 0)), Some(text.clone()));
        assert_eq!(inflated(Some("Deflate"), &compress_to_vec_zlib(&text, 6)), Some(text.clone()));
        assert_eq!(inflated(Some("deflate"), &compress_to_vec(&text, 6)), Some(text.clone()));
        let cut = gzip(&text, 0);
        let part = inflated(Some("gzip"), &cut[..cut.len() / 2]).unwrap();
        assert!(part.starts_with(&text[..1_000]), "what came before it broke off");
        assert!(inflated(Some("gzip"), &gzip(&vec![0; 8 << 20], 0)).unwrap().len() <= MOST_INFLATED);
        for none in [None, Some("br"), Some("identity")] {
            assert_eq!(inflated(none, &text), None);
        }
    }

    #[test]
    fn a_bomb_fills_the_buffer_and_no_more() {
        let bomb = gzip(&vec![b' '; 10_000_000], 0);
        assert_eq!(decoded("gzip", &bomb, 100_000).len(), HEAD_BYTES);
    }

    #[test]
    fn an_endless_header_is_given_up() {
        let mut stream = vec![0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 0];
        stream.extend(vec![b'n'; 100_000]);
        let mut decoder = Decoder::new(Some("gzip"));
        let fed = stream.chunks(100).take_while(|piece| decoder.feed(piece, |_| {})).count();
        assert!(fed < 12);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1_usize..20) {
            decoded("gzip", &bytes, chunk);
            decoded("deflate", &bytes, chunk);
            let mut with_header = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0];
            with_header.extend(bytes);
            decoded("gzip", &with_header, chunk);
        }
    }
}
