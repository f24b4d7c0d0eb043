//! JSON as one ordered type, read and written by `serde_json`. Numbers are text, from which they become integers;
//! repeated names are kept, so that they can be reported.

mod decimal;
mod items;
mod read;
mod write;

// The build script, whose module this is too, reads and nothing more.
#[allow(unused_imports)]
pub use {
    decimal::{decimal, scaled},
    items::Items,
    read::{MAX_DEPTH, read},
    write::{ToJson, members},
};

/// A JSON value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// In decimal notation, without exponent.
    Number(String),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// In the order written, repeated names included.
    Object(Vec<(String, Self)>),
}

impl Value {
    /// An object without fields.
    pub const fn object() -> Self {
        Self::Object(Vec::new())
    }

    /// What stands under that name; the last, where it is there twice. None for anything but an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object()?.iter().rfind(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        match self {
            Self::Object(fields) => fields.iter_mut().rfind(|(field, _)| field == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Puts a field at an object's end; one that is there already is not looked for. Any other value stays as it is.
    pub fn set(&mut self, name: &str, value: impl ToJson) {
        self.put(name, value.to_json());
    }

    /// The same, if there is a value.
    pub fn set_some(&mut self, name: &str, value: Option<impl ToJson>) {
        if let Some(value) = value {
            self.put(name, value.to_json());
        }
    }

    fn put(&mut self, name: &str, value: Self) {
        if let Self::Object(fields) = self {
            fields.push((name.to_owned(), value));
        }
    }

    /// A string's text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A whole number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// A list's items.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// An object's fields.
    pub fn as_object(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What to call it in a message.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// Leaves `null` in its place.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// A JSON value as it is written: `json!({"name": text, "list": [1, 2]})`. Names are literals; values are whatever
/// [`ToJson`] takes, by reference.
#[macro_export]
macro_rules! json {
    (null) => { $crate::json::Value::Null };
    ([]) => { $crate::json::Value::Array(Vec::new()) };
    ([ $($item:tt)+ ]) => { $crate::json!(@items [] $($item)+) };
    ({ $($fields:tt)* }) => {{
        #[allow(unused_mut)]
        let mut object = $crate::json::Value::object();
        $crate::json!(@fields object $($fields)*);
        object
    }};
    (@items [$($done:expr,)*]) => { $crate::json::Value::Array(vec![$($done),*]) };
    (@items [$($done:expr,)*] { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::json!(@items [$($done,)* $crate::json!({ $($inner)* }),] $($($rest)*)?)
    };
    (@items [$($done:expr,)*] [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::json!(@items [$($done,)* $crate::json!([ $($inner)* ]),] $($($rest)*)?)
    };
    (@items [$($done:expr,)*] $item:expr $(, $($rest:tt)*)?) => {
        $crate::json!(@items [$($done,)* $crate::json::ToJson::to_json(&$item),] $($($rest)*)?)
    };
    (@fields $object:ident) => {};
    (@fields $object:ident $name:literal : null $(, $($rest:tt)*)?) => {
        $object.set($name, $crate::json::Value::Null);
        $crate::json!(@fields $object $($($rest)*)?);
    };
    (@fields $object:ident $name:literal : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $object.set($name, $crate::json!({ $($inner)* }));
        $crate::json!(@fields $object $($($rest)*)?);
    };
    (@fields $object:ident $name:literal : [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $object.set($name, $crate::json!([ $($inner)* ]));
        $crate::json!(@fields $object $($($rest)*)?);
    };
    (@fields $object:ident $name:literal : $value:expr $(, $($rest:tt)*)?) => {
        $object.set($name, &$value);
        $crate::json!(@fields $object $($($rest)*)?);
    };
    ($value:expr) => { $crate::json::ToJson::to_json(&$value) };
}

#[cfg(test)]
mod tests;
