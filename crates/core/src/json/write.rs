//! JSON, written: without blanks, and on one line.

use super::Value;
use std::fmt::{Display, Formatter};

/// What has a JSON value.
pub trait ToJson {
    /// That value.
    fn to_json(&self) -> Value;
}

impl ToJson for Value {
    fn to_json(&self) -> Value {
        self.clone()
    }
}

impl ToJson for str {
    fn to_json(&self) -> Value {
        Value::String(self.to_owned())
    }
}

impl ToJson for String {
    fn to_json(&self) -> Value {
        Value::String(self.clone())
    }
}

impl ToJson for bool {
    fn to_json(&self) -> Value {
        Value::Bool(*self)
    }
}

macro_rules! whole_numbers {
    ($wide:ty: $($number:ty)+) => {$(
        impl ToJson for $number {
            fn to_json(&self) -> Value {
                Value::Number((*self as $wide).to_string())
            }
        }
    )+};
}

whole_numbers!(u64: u8 u16 u32 u64 usize);
whole_numbers!(i64: i32 i64);

impl<T: ToJson + ?Sized> ToJson for &T {
    fn to_json(&self) -> Value {
        (**self).to_json()
    }
}

/// None is `null`.
impl<T: ToJson> ToJson for Option<T> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToJson::to_json)
    }
}

impl<T: ToJson> ToJson for [T] {
    fn to_json(&self) -> Value {
        let mut items = Vec::with_capacity(self.len());
        for item in self {
            items.push(item.to_json());
        }
        Value::Array(items)
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self) -> Value {
        self.as_slice().to_json()
    }
}

/// A list of two: a header's name and value.
impl<A: ToJson, B: ToJson> ToJson for (A, B) {
    fn to_json(&self) -> Value {
        Value::Array(vec![self.0.to_json(), self.1.to_json()])
    }
}

impl FromIterator<Self> for Value {
    fn from_iter<T: IntoIterator<Item = Self>>(items: T) -> Self {
        Self::Array(items.into_iter().collect())
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        write(self, &mut text);
        f.write_str(&text)
    }
}

/// The text of an object of strings. Each name is there once.
pub fn members(members: &[(String, String)]) -> String {
    let mut text =
        String::with_capacity(members.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum());
    let mut mark = '{';
    for (name, value) in members {
        text.push(mark);
        mark = ',';
        write_string(name, &mut text);
        text.push(':');
        write_string(value, &mut text);
    }
    text.push_str(if mark == '{' { "{}" } else { "}" });
    text
}

fn write(value: &Value, to: &mut String) {
    match value {
        Value::Null => to.push_str("null"),
        Value::Bool(true) => to.push_str("true"),
        Value::Bool(false) => to.push_str("false"),
        Value::Number(text) => to.push_str(text),
        Value::String(text) => write_string(text, to),
        Value::Array(items) => {
            let mut mark = '[';
            for item in items {
                to.push(mark);
                mark = ',';
                write(item, to);
            }
            to.push_str(if mark == '[' { "[]" } else { "]" });
        }
        Value::Object(fields) => {
            let mut mark = '{';
            for (name, value) in fields {
                to.push(mark);
                mark = ',';
                write_string(name, to);
                to.push(':');
                write(value, to);
            }
            to.push_str(if mark == '{' { "{}" } else { "}" });
        }
    }
}

fn write_string(text: &str, to: &mut String) {
    to.push('"');
    for character in text.chars() {
        match character {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\0'..='\x1f' => {
                to.push_str("\\u00");
                for digit in [u32::from(character) >> 4, u32::from(character) & 15] {
                    to.push(char::from_digit(digit, 16).unwrap_or('0'));
                }
            }
            _ => to.push(character),
        }
    }
    to.push('"');
}
