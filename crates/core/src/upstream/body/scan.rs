//! Finds the values at a few JSON pointers in a text that comes in pieces. It keeps only those
//! values, whatever the depth, length and order of the rest.

#![expect(clippy::arithmetic_side_effects, reason = "no more than the head's 16 kB, and four hexadecimal digits")]

/// The longest name that can be part of a pointer, bytes.
const LONGEST_NAME: usize = 64;

/// The longest value that is kept, bytes.
const LONGEST_VALUE: usize = 256;

/// A text that is nested deeper than this is not read on, as each level takes a bit.
const DEEPEST: usize = 1_024;

/// What was found at a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was found yet, or null.
    Nothing,
    /// The text of a string, or a number or boolean as written.
    Scalar(String),
    /// An object or array was found.
    Container,
}

struct Wanted {
    /// The pointer's parts: names, and the index of each that is a number.
    parts: Vec<(String, Option<u32>)>,
    /// How many of the parts, from the first, lead to the scan's position.
    matched: usize,
    found: Found,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next token is a value or, right after `[`, perhaps its end.
    Value {
        first: bool,
    },
    /// The next token is a name or, right after `{`, perhaps its end.
    Name {
        first: bool,
    },
    Colon,
    /// The next token is a comma or an end.
    After,
    Text {
        name: bool,
    },
    Escape {
        name: bool,
    },
    /// Inside `\uXXXX`, with the number of digits still to come and the code so far.
    Unicode {
        name: bool,
        digits: u8,
        code: u32,
    },
    /// Inside a number, `true`, `false` or `null`.
    Bare,
    /// The value is complete, or this is not JSON.
    Ended,
}

pub(super) struct Scan {
    wanted: Vec<Wanted>,
    state: State,
    depth: usize,
    /// Whether each level is an array, one bit a level.
    arrays: Vec<u64>,
    /// The index within the array on each of the first levels. Deeper levels are in no pointer.
    indices: Vec<u32>,
    /// The name or value that is being read, bounded in length.
    buffer: Vec<u8>,
    /// Whether it was longer than the bound.
    overflown: bool,
    /// Whether the value that is being read is one of the wanted.
    keep: bool,
    /// Whether the last byte completed a find.
    news: bool,
}

impl Scan {
    pub(super) fn new<'a>(pointers: impl Iterator<Item = &'a str>) -> Self {
        let part = |part: &str| {
            let name = part.replace("~1", "/").replace("~0", "~");
            let index = name.parse().ok();
            (name, index)
        };
        let wanted: Vec<_> = pointers
            .map(|pointer| Wanted {
                parts: pointer.split('/').skip(1).map(part).collect(),
                matched: 0,
                found: Found::Nothing,
            })
            .collect();
        let longest = wanted.iter().map(|wanted| wanted.parts.len()).max().unwrap_or(0);
        Self {
            wanted,
            state: State::Value { first: false },
            depth: 0,
            arrays: Vec::new(),
            indices: vec![0; longest],
            buffer: Vec::new(),
            overflown: false,
            keep: false,
            news: false,
        }
    }

    /// Whether the value is complete, or the text cannot be read on.
    pub(super) fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Returns what is at the n-th pointer, as far as the text has come.
    pub(super) fn found(&self, index: usize) -> &Found {
        self.wanted.get(index).map_or(&Found::Nothing, |wanted| &wanted.found)
    }

    /// Reads the next byte. Returns whether it completed a find.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        self.news = false;
        self.read(byte);
        self.news
    }

    fn read(&mut self, byte: u8) {
        match self.state {
            State::Text { name } => match byte {
                b'"' => self.end_text(name),
                b'\\' => self.state = State::Escape { name },
                _ => self.push(name, byte),
            },
            State::Escape { name } => self.escape(name, byte),
            State::Unicode { name, digits, code } => self.unicode(name, digits, code, byte),
            State::Bare if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') => self.push(false, byte),
            State::Bare => {
                self.end_scalar(false);
                self.read(byte);
            }
            // Blanks are skipped, and a byte order mark before everything else.
            _ if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => {}
            State::Value { first: false } if self.depth == 0 && matches!(byte, 0xEF | 0xBB | 0xBF) => {}
            State::Value { first } => self.value(byte, first),
            State::Name { first } => match byte {
                b'"' => self.begin(State::Text { name: true }),
                b'}' if first => self.close(false),
                _ => self.state = State::Ended,
            },
            State::Colon if byte == b':' => self.state = State::Value { first: false },
            State::After => match byte {
                b',' if self.in_array() => {
                    if let Some(index) = self.depth.checked_sub(1).and_then(|level| self.indices.get_mut(level)) {
                        *index = index.saturating_add(1);
                    }
                    self.state = State::Value { first: false };
                }
                b',' => self.state = State::Name { first: false },
                b']' => self.close(true),
                b'}' => self.close(false),
                _ => self.state = State::Ended,
            },
            State::Colon | State::Ended => self.state = State::Ended,
        }
    }

    fn value(&mut self, byte: u8, first: bool) {
        if first && byte == b']' {
            return self.close(true);
        }
        if self.in_array() {
            let index = self.depth.checked_sub(1).and_then(|level| self.indices.get(level)).copied();
            self.step(|(_, wanted)| wanted.is_some() && *wanted == index);
        }
        let depth = self.depth;
        let here = |wanted: &&mut Wanted| wanted.matched == depth && wanted.parts.len() == depth;
        match byte {
            b'{' | b'[' => {
                for wanted in self.wanted.iter_mut().filter(here) {
                    wanted.found = Found::Container;
                    self.news = true;
                }
                self.open(byte == b'[');
            }
            b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.keep = self.wanted.iter_mut().any(|wanted| here(&wanted));
                self.begin(if byte == b'"' { State::Text { name: false } } else { State::Bare });
                if byte != b'"' {
                    self.push(false, byte);
                }
            }
            _ => self.state = State::Ended,
        }
    }

    /// Updates for each pointer whether the step into a member of the innermost container follows
    /// it.
    fn step(&mut self, is: impl Fn(&(String, Option<u32>)) -> bool) {
        let Some(level) = self.depth.checked_sub(1) else { return };
        for wanted in &mut self.wanted {
            if wanted.matched >= level {
                let on_its_way = wanted.parts.get(level).is_some_and(&is);
                wanted.matched = level + usize::from(on_its_way);
            }
        }
    }

    fn begin(&mut self, state: State) {
        self.buffer.clear();
        self.overflown = false;
        self.state = state;
    }

    fn push(&mut self, name: bool, byte: u8) {
        let most = if name { LONGEST_NAME } else { LONGEST_VALUE };
        if !name && !self.keep {
        } else if self.buffer.len() < most {
            self.buffer.push(byte);
        } else {
            self.overflown = true;
        }
    }

    fn escape(&mut self, name: bool, byte: u8) {
        let plain = match byte {
            b'u' => return self.state = State::Unicode { name, digits: 4, code: 0 },
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'"' | b'\\' | b'/' => byte,
            _ => return self.state = State::Ended,
        };
        self.push(name, plain);
        self.state = State::Text { name };
    }

    fn unicode(&mut self, name: bool, digits: u8, code: u32, byte: u8) {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return self.state = State::Ended;
        };
        let code = code * 16 + digit;
        if digits > 1 {
            return self.state = State::Unicode { name, digits: digits - 1, code };
        }
        // Halves of surrogate pairs are replaced: no wanted name or code contains any.
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        for &byte in character.encode_utf8(&mut [0; 4]).as_bytes() {
            self.push(name, byte);
        }
        self.state = State::Text { name };
    }

    fn end_text(&mut self, name: bool) {
        if !name {
            return self.end_scalar(true);
        }
        let read = if self.overflown { None } else { std::str::from_utf8(&self.buffer).ok().map(str::to_owned) };
        self.step(|(wanted, _)| Some(wanted) == read.as_ref());
        self.state = State::Colon;
    }

    fn end_scalar(&mut self, text: bool) {
        if self.keep && (text || self.buffer != b"null") {
            let depth = self.depth;
            let value = String::from_utf8_lossy(&self.buffer).into_owned();
            let here = |wanted: &&mut Wanted| wanted.matched == depth && wanted.parts.len() == depth;
            self.wanted.iter_mut().filter(here).for_each(|wanted| wanted.found = Found::Scalar(value.clone()));
            self.news = true;
        }
        self.keep = false;
        self.state = if self.depth == 0 { State::Ended } else { State::After };
    }

    fn open(&mut self, array: bool) {
        let (word, bit) = (self.depth / 64, 1_u64 << (self.depth % 64));
        if word >= self.arrays.len() {
            self.arrays.push(0);
        }
        if let Some(word) = self.arrays.get_mut(word) {
            *word = if array { *word | bit } else { *word & !bit };
        }
        if let Some(index) = self.indices.get_mut(self.depth) {
            *index = 0;
        }
        self.depth += 1;
        self.state = match array {
            _ if self.depth > DEEPEST => State::Ended,
            true => State::Value { first: true },
            false => State::Name { first: true },
        };
    }

    fn close(&mut self, array: bool) {
        if self.in_array() != array {
            return self.state = State::Ended;
        }
        self.depth = self.depth.saturating_sub(1);
        self.state = if self.depth == 0 { State::Ended } else { State::After };
    }

    fn in_array(&self) -> bool {
        let Some(level) = self.depth.checked_sub(1) else { return false };
        self.arrays.get(level / 64).is_some_and(|word| (word >> (level % 64)) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn feed(scan: &mut Scan, bytes: &[u8]) {
        for byte in bytes {
            scan.take(*byte);
        }
    }

    fn scan(text: &[u8], pointers: &[&str]) -> Vec<Found> {
        let mut scan = Scan::new(pointers.iter().copied());
        feed(&mut scan, text);
        (0..pointers.len()).map(|index| scan.found(index).clone()).collect()
    }

    fn scalar(text: &str) -> Found {
        Found::Scalar(text.to_owned())
    }

    #[test]
    fn values_are_found_at_their_pointers_alone() {
        let text = br#"{"errors":[{"code":"606","x":{"code":"1"}},{"code":"2"}],"a":{"errors":[{"code":"3"}]},"n":-1.5e3,"t":true,"z":null}"#;
        assert_eq!(
            scan(
                text,
                &["/errors/0/code", "/errors/1/code", "/n", "/t", "/z", "/errors", "/errors/0", "/code", "/errors/2"]
            ),
            [
                scalar("606"),
                scalar("2"),
                scalar("-1.5e3"),
                scalar("true"),
                Found::Nothing,
                Found::Container,
                Found::Container,
                Found::Nothing,
                Found::Nothing
            ]
        );
    }

    #[test]
    fn an_array_at_the_root_is_read() {
        assert_eq!(scan(br#" [ {"errorCode" : "X"} ]"#, &["/0/errorCode", "/1"]), [scalar("X"), Found::Nothing]);
        assert_eq!(scan(b"[[1,[2,3]],4]", &["/0/1/1", "/1"]), [scalar("3"), scalar("4")]);
    }

    #[test]
    fn escapes_are_undone_in_names_and_values() {
        assert_eq!(scan(br#"{"\u0063ode":"\u0036\t\"\\\/\u00e9\ud800"}"#, &["/code"]), [scalar("6\t\"\\/é\u{fffd}")]);
        assert_eq!(scan(br#"{"a/b~":1,"":2}"#, &["/a~1b~0", "/"]), [scalar("1"), scalar("2")]);
    }

    #[test]
    fn long_names_and_values_take_no_more_room_than_is_set() {
        let name = "x".repeat(1_000);
        let text = format!("{{\"{name}\":1,\"a\":\"{name}\"}}");
        assert_eq!(scan(text.as_bytes(), &["/a", "/xxxx"]), [scalar(&"x".repeat(LONGEST_VALUE)), Found::Nothing]);
        assert_eq!(scan(text.as_bytes(), &[&format!("/{}", &name[..LONGEST_NAME])]), [Found::Nothing]);
    }

    #[test]
    fn depth_is_read_to_a_bound() {
        let deep = |levels: usize| format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(scan(deep(1_000).as_bytes(), &["/b"]), [scalar("1")]);
        assert_eq!(scan(deep(2_000).as_bytes(), &["/b"]), [Found::Nothing]);
    }

    #[test]
    fn what_is_not_json_ends_the_reading() {
        for text in [
            "<html>",
            "id,name",
            "{a:1}",
            "{\"a\" 1}",
            "[1}",
            "{\"a\":1]",
            "\u{1}",
            "{\"a\":\"\\x\"}",
            "{,}",
            "[1 2]",
            "}",
            "]",
            ",",
        ] {
            let mut scan = Scan::new(std::iter::once("/b"));
            feed(&mut scan, text.as_bytes());
            assert!(scan.ended(), "{text}");
            feed(&mut scan, br#"{"b":1}"#);
            assert_eq!(*scan.found(0), Found::Nothing);
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(scan(b"\xef\xbb\xbf{\"a\":1}", &["/a"]), [scalar("1")]);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let name = prop::sample::select(vec!["a", "b", "errors", "code", "success", "0", "ü\"\\"]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-zé\"\\\\\n{}\\[\\],:]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(name.clone(), inner, 0..4).prop_map(|map| map
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()),
            ]
        })
    }

    fn as_parsed(value: &Value, pointer: &str) -> Found {
        match value.pointer(pointer) {
            None | Some(Value::Null) => Found::Nothing,
            Some(Value::Array(_) | Value::Object(_)) => Found::Container,
            Some(Value::String(text)) => Found::Scalar(text.clone()),
            Some(other) => Found::Scalar(other.to_string()),
        }
    }

    const POINTERS: [&str; 8] = ["/a", "/errors/0/code", "/success", "/a/b", "/0", "/1/code", "/errors/0", "/b/0/0"];

    proptest! {
        #[test]
        fn it_finds_what_a_parser_finds(value in any_json(), pretty: bool) {
            let value = json!({"a": value, "errors": [value], "b": [[value]]});
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let expected: Vec<_> = POINTERS.iter().map(|pointer| as_parsed(&value, pointer)).collect();
            prop_assert_eq!(scan(text.as_bytes(), &POINTERS), expected);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            scan(&bytes, &POINTERS);
        }

        #[test]
        fn any_punctuation_is_read_without_panic(text in "[\\[\\]{}\",:\\\\u0-9a-f tn]{0,200}") {
            scan(text.as_bytes(), &POINTERS);
        }
    }
}
