//! Reads a JSON object field by field: each fault is noted with its pointer, and the reading goes
//! on.

use crate::document::{Tree, scaled};

/// A JSON pointer, and a lower-case sentence that says what is wrong there.
pub type Fault = (String, String);

/// The fields of an object.
pub(crate) struct Fields<'a, 'f> {
    object: &'a Tree,
    pointer: String,
    faults: &'f mut Vec<Fault>,
}

impl<'a, 'f> Fields<'a, 'f> {
    /// Takes the fields of an object, and notes a fault for each field that is not known.
    pub(crate) fn of(value: &'a Tree, pointer: &str, known: &[&str], faults: &'f mut Vec<Fault>) -> Self {
        let fields = value.as_object();
        if fields.is_none() {
            faults.push((pointer.to_owned(), "must be an object".to_owned()));
        }
        for (name, _) in fields.unwrap_or_default() {
            if known.contains(&name.as_str()) {
                continue;
            }
            let escaped = name.replace('~', "~0").replace('/', "~1");
            faults.push((
                format!("{pointer}/{escaped}"),
                format!("unknown field; the fields here are {}", known.join(", ")),
            ));
        }
        Self { object: value, pointer: pointer.to_owned(), faults }
    }

    fn below(&self, field: &str) -> String {
        format!("{}/{field}", self.pointer)
    }

    /// Notes a fault at a field.
    pub(crate) fn fault(&mut self, field: &str, detail: &str) {
        self.faults.push((self.below(field), detail.to_owned()));
    }

    pub(crate) fn value(&self, field: &str) -> Option<&'a Tree> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    /// Whether a field is set.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.value(field).is_some()
    }

    fn read<T>(&mut self, field: &str, expected: &str, read: impl FnOnce(&'a Tree) -> Option<T>) -> Option<T> {
        let value = self.value(field)?;
        let found = read(value);
        if found.is_none() {
            self.fault(field, &format!("must be {expected}"));
        }
        found
    }

    /// Reads a string that is not empty.
    pub(crate) fn text(&mut self, field: &str) -> Option<String> {
        let read = |value: &Tree| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        self.read(field, "a string that is not empty", read)
    }

    /// Reads a string that must be set and not be empty.
    pub(crate) fn required(&mut self, field: &str) -> String {
        if !self.has(field) {
            self.fault(field, "is missing");
        }
        self.text(field).unwrap_or_default()
    }

    pub(crate) fn flag(&mut self, field: &str, default: bool) -> bool {
        self.read(field, "true or false", Tree::as_bool).unwrap_or(default)
    }

    /// Reads a whole number from `least` to `most`.
    pub(crate) fn number(&mut self, field: &str, least: u64, most: u64) -> Option<u64> {
        let range = least..=most;
        let expected = format!("a whole number from {least} to {most}");
        self.read(field, &expected, |value| value.as_u64().filter(|number| range.contains(number)))
    }

    pub(crate) fn seconds(&mut self, field: &str, default: u32) -> u32 {
        let day = 86_400;
        self.number(field, 1, day).and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(default)
    }

    /// Reads one of several words.
    pub(crate) fn word<T: Copy>(&mut self, field: &str, words: &[(&str, T)]) -> Option<T> {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", known.join(", "));
        let read =
            |value: &Tree| words.iter().find(|(word, _)| value.as_str() == Some(word)).map(|(_, meaning)| *meaning);
        self.read(field, &expected, read)
    }

    /// Reads a number from 0 to 1 with up to six decimals as parts per million. It is read from its
    /// text, since no binary fraction equals 0.1.
    pub(crate) fn part(&mut self, field: &str) -> Option<u32> {
        let read = |value: &Tree| {
            let Tree::Number(text) = value else { return None };
            let ppm = u32::try_from(scaled(text, 6)?).ok()?;
            (1..=1_000_000).contains(&ppm).then_some(ppm)
        };
        self.read(field, "a number over 0 and up to 1, with at most six decimals", read)
    }

    /// Reads a list, each item with its pointer; it is empty where the field is not set. A single
    /// value counts as a list of one.
    pub(crate) fn list<T>(
        &mut self,
        field: &str,
        mut read: impl FnMut(&'a Tree, &str, &mut Vec<Fault>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.value(field) else { return Vec::new() };
        let pointer = self.below(field);
        match value {
            Tree::Array(items) => {
                let items = items.iter().enumerate();
                items.filter_map(|(index, item)| read(item, &format!("{pointer}/{index}"), self.faults)).collect()
            }
            one => read(one, &pointer, self.faults).into_iter().collect(),
        }
    }

    /// Reads a list of strings for which `fits` is true.
    pub(crate) fn texts(&mut self, field: &str, expected: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
        self.list(field, |value, pointer, faults| {
            let text = value.as_str().filter(|text| fits(text));
            if text.is_none() {
                faults.push((pointer.to_owned(), format!("must be {expected}")));
            }
            text.map(str::to_owned)
        })
    }

    /// Reads an object below this one.
    pub(crate) fn object<T>(
        &mut self,
        field: &str,
        known: &[&str],
        read: impl FnOnce(&mut Fields<'a, '_>) -> T,
    ) -> Option<T> {
        let value = self.value(field)?;
        let pointer = self.below(field);
        Some(read(&mut Fields::of(value, &pointer, known, self.faults)))
    }
}
