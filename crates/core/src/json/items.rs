//! A list taken apart: how JavaScript hands several things over in one crossing.

use super::{Value, read};

/// The items of a list, one after another. None once they are at their end, or where the next is something else.
pub struct Items(std::vec::IntoIter<Value>);

impl Items {
    /// The items of a text that is one list.
    pub fn of(text: &str) -> Option<Self> {
        Self::in_list(read(text).ok()?)
    }

    fn in_list(list: Value) -> Option<Self> {
        match list {
            Value::Array(items) => Some(Self(items.into_iter())),
            _ => None,
        }
    }

    /// The next, a string.
    pub fn text(&mut self) -> Option<String> {
        match self.0.next()? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The next, a whole number.
    pub fn number(&mut self) -> Option<i64> {
        self.0.next()?.as_i64()
    }

    /// The next, a list of pairs of strings.
    pub fn pairs(&mut self) -> Option<Vec<(String, String)>> {
        let mut pairs = Vec::new();
        for pair in Self::in_list(self.0.next()?)?.0 {
            let mut pair = Self::in_list(pair)?;
            pairs.push((pair.text()?, pair.text()?));
        }
        Some(pairs)
    }
}
