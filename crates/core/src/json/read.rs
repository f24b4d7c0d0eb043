//! JSON, read (RFC 8259): whole, strictly, and to a bounded depth.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use super::Value;

/// Most levels of lists and objects within one another: reading is recursive, and a Worker's stack is 1 MB.
pub const MAX_DEPTH: usize = 127;

/// Most digits that an exponent may put before or behind a number's own; doubles reach about as far.
const MAX_SHIFT: usize = 400;

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub what: &'static str,
    /// From 1.
    pub line: usize,
    /// Bytes into that line, from 1.
    pub column: usize,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

/// Reads a text that is one JSON value.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(text: &str) -> Result<Value, Fault> {
    let mut reader = Reader { text, at: 0 };
    let read = reader.value(0).and_then(|value| {
        reader.skip_blanks();
        if reader.peek().is_none() { Ok(value) } else { Err("nothing may follow the value") }
    });
    read.map_err(|what| {
        let before = text.as_bytes().get(..reader.at).unwrap_or_default();
        let line_begins = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Fault {
            what,
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + reader.at - line_begins,
        }
    })
}

type Read<T> = Result<T, &'static str>;

struct Reader<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes over that byte, if it is the next.
    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// The text of the next bytes that are such. Those that are not end at a character's boundary.
    fn run(&mut self, is: impl Fn(u8) -> bool) -> &'a str {
        let from = self.at;
        while self.peek().is_some_and(&is) {
            self.at += 1;
        }
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        self.run(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err("there are too many levels"),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(_) => Err("a value is expected"),
            None => Err("the text ends too early"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Read<Value> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(value)
        } else {
            Err("a value is expected")
        }
    }

    fn array(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_blanks();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.ends(b']')? {
                return Ok(Value::Array(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Value> {
        let mut fields = Vec::new();
        self.at += 1;
        self.skip_blanks();
        if self.eat(b'}') {
            return Ok(Value::Object(fields));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err("a field's name is expected, in double quotes");
            }
            let name = self.string()?;
            self.skip_blanks();
            if !self.eat(b':') {
                return Err("a colon is expected");
            }
            fields.push((name, self.value(depth)?));
            if self.ends(b'}')? {
                return Ok(Value::Object(fields));
            }
        }
    }

    /// Whether a list or object ends here, rather than goes on.
    fn ends(&mut self, end: u8) -> Read<bool> {
        self.skip_blanks();
        if self.eat(b',') {
            return Ok(false);
        }
        if self.eat(end) {
            return Ok(true);
        }
        Err(if end == b']' { "a comma or ] is expected" } else { "a comma or } is expected" })
    }

    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            text.push_str(self.run(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)));
            if self.eat(b'"') {
                return Ok(text);
            }
            if !self.eat(b'\\') {
                return Err(if self.peek().is_none() {
                    "the text ends within a string"
                } else {
                    "a control character in a string must be escaped"
                });
            }
            text.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Read<char> {
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'u') => return self.unicode(),
            _ => return Err("there is no such escape"),
        };
        self.at += 1;
        Ok(character)
    }

    /// `u` and four digits; and, for a character beyond the first plane, `\u` and four more.
    fn unicode(&mut self) -> Read<char> {
        let high = self.four_digits()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.eat(b'\\') && self.peek() == Some(b'u') {
            let low = self.four_digits()?;
            if (0xdc00..0xe000).contains(&low) { 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00) } else { high }
        } else {
            high
        };
        char::from_u32(code).ok_or("half of a surrogate pair stands alone")
    }

    fn four_digits(&mut self) -> Read<u32> {
        let digits = self.text.get(self.at + 1..self.at + 5).unwrap_or_default();
        self.at += 1;
        let is_hex = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        self.at += if is_hex { 4 } else { 0 };
        code.ok_or("four hexadecimal digits are expected")
    }

    fn number(&mut self) -> Read<Value> {
        let minus = if self.eat(b'-') { "-" } else { "" };
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            return Err("a number must not begin with 0");
        }
        let fraction = if self.eat(b'.') { self.digits()? } else { "" };
        if self.eat(b'e') || self.eat(b'E') {
            let down = self.eat(b'-');
            if !down {
                self.eat(b'+');
            }
            let shift: usize = self.digits()?.parse().unwrap_or(usize::MAX);
            return Ok(Value::Number(format!("{minus}{}", shifted(whole, fraction, shift, down)?)));
        }
        let point = if fraction.is_empty() { "" } else { "." };
        Ok(Value::Number([minus, whole, point, fraction].concat()))
    }

    fn digits(&mut self) -> Read<&'a str> {
        let digits = self.run(|byte| byte.is_ascii_digit());
        if digits.is_empty() { Err("a digit is expected") } else { Ok(digits) }
    }
}

/// A number with its decimal point moved: 1.5 by 3 is 1500. No zero stands at either end for nothing.
fn shifted(whole: &str, fraction: &str, shift: usize, down: bool) -> Read<String> {
    if shift > MAX_SHIFT {
        return Err("the number is out of range");
    }
    let zeros = "0".repeat(shift);
    let (before, digits) = if down { (zeros.as_str(), "") } else { ("", zeros.as_str()) };
    let all = [before, whole, fraction, digits].concat();
    // Where the point stands in all of these.
    let point = if down { whole.len() } else { whole.len() + shift };
    let (whole, fraction) = all.split_at_checked(point).unwrap_or((&all, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(if fraction.is_empty() { whole.to_owned() } else { [whole, ".", fraction].concat() })
}
