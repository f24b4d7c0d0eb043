//! Reads a document completely: each fault is noted with its place, and the reading goes on.

use crate::document::{Decimal, Tree, scaled};
use serde::Serialize;
use std::cell::Cell;
use std::ops::RangeInclusive;

/// The most faults that are reported. A document of a megabyte could have a hundred thousand.
pub const MAX_FAULTS: usize = 1_000;

/// One fault of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The place, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong and what it should be. It never quotes a value, which could be a secret.
    pub detail: String,
}

impl Fault {
    /// Makes a fault of the document as a whole.
    pub(super) fn whole(detail: impl Into<String>) -> Self {
        Self { pointer: String::new(), detail: detail.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults(Cell<Vec<Fault>>);

impl Faults {
    pub(super) fn note(&self, pointer: &str, detail: impl Into<String>) {
        let mut faults = self.0.take();
        if faults.len() < MAX_FAULTS {
            faults.push(Fault { pointer: pointer.to_owned(), detail: detail.into() });
        }
        self.0.set(faults);
    }

    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

/// A value and its place in the document.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) node: &'a Tree,
    pub(super) pointer: String,
    faults: &'a Faults,
}

impl<'a> Node<'a> {
    pub(super) const fn root(node: &'a Tree, faults: &'a Faults) -> Self {
        Self { node, pointer: String::new(), faults }
    }

    /// Notes a fault here and returns `None`, so that a reader can end with it.
    pub(super) fn fault<T>(&self, detail: impl Into<String>) -> Option<T> {
        self.faults.note(&self.pointer, detail);
        None
    }

    /// Notes a fault at a missing field of this object.
    pub(super) fn missing<T>(&self, field: &str, detail: impl Into<String>) -> Option<T> {
        self.faults.note(&self.below(field), detail);
        None
    }

    fn wrong<T>(&self, expected: &str) -> Option<T> {
        self.fault(format!("must be {expected}, not {}", self.node.what()))
    }

    fn below(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    fn child(&self, name: &str, node: &'a Tree) -> Self {
        Self { node, pointer: self.below(name), faults: self.faults }
    }

    /// Reads a string of up to `most` bytes without control characters.
    pub(super) fn text(&self, most: usize) -> Option<&'a str> {
        let Tree::String(text) = self.node else { return self.wrong("a string") };
        if text.len() > most {
            return self.fault(format!("must be at most {most} bytes long"));
        }
        if text.chars().any(char::is_control) {
            return self.fault("must not have control characters");
        }
        Some(text)
    }

    /// Reads a string of up to `most` bytes that may have control characters, such as the line ends
    /// in a private key.
    pub(super) fn lines(&self, most: usize) -> Option<&'a str> {
        let Tree::String(text) = self.node else { return self.wrong("a string") };
        if text.len() > most { self.fault(format!("must be at most {most} bytes long")) } else { Some(text) }
    }

    /// Returns the value for a reader of another kind, and notes every name in it that occurs
    /// twice.
    pub(super) fn value(&self) -> &'a Tree {
        self.note_repeated();
        self.node
    }

    fn note_repeated(&self) {
        match self.node {
            Tree::Object(_) => {
                self.entries().into_iter().flatten().for_each(|(_, entry)| entry.note_repeated());
            }
            Tree::Array(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(index, item)| self.child(&index.to_string(), item).note_repeated());
            }
            _ => {}
        }
    }

    /// Notes a fault that another kind of reader found, at a pointer relative to this place.
    pub(super) fn fault_below(&self, pointer: &str, detail: &str) {
        self.faults.note(&format!("{}{pointer}", self.pointer), detail);
    }

    /// Returns this place with another value, which replaces the written one.
    pub(super) fn standing_in<'b>(&'b self, below: &str, node: &'b Tree) -> Node<'b> {
        Node { node, pointer: format!("{}{below}", self.pointer), faults: self.faults }
    }

    /// Reads one of several words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let found = match self.node {
            Tree::String(text) => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        match found {
            Some((_, meaning)) => Some(*meaning),
            None => self.fault(format!("must be {}", one_of(words.iter().map(|(word, _)| *word)))),
        }
    }

    /// Reads a whole number.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.number(0, range)
    }

    /// Reads a number with up to `places` decimals, in units of the last decimal. The range is in
    /// the same unit.
    pub(super) fn number(&self, places: usize, range: RangeInclusive<u64>) -> Option<u64> {
        let amount = match self.node {
            Tree::Number(text) => scaled(text, places),
            _ => None,
        };
        if let Some(amount) = amount.filter(|amount| range.contains(amount)) {
            return Some(amount);
        }
        let (low, high) = (Decimal(*range.start(), places), Decimal(*range.end(), places));
        self.fault(if places == 0 {
            format!("must be a whole number from {low} to {high}")
        } else {
            format!("must be a number from {low} to {high}, with at most {places} decimals")
        })
    }

    /// Reads a list of up to `most` items.
    pub(super) fn list(&self, most: usize) -> Option<Vec<Node<'a>>> {
        let Tree::Array(items) = self.node else { return self.wrong("a list") };
        if items.len() > most {
            return self.fault(format!("must have at most {most} items"));
        }
        Some(items.iter().enumerate().map(|(index, item)| self.child(&index.to_string(), item)).collect())
    }

    /// Reads an object that has fields of these names and no others.
    pub(super) fn object(&self, known: &[&str]) -> Option<Fields<'a>> {
        let fields = self.fields()?;
        fields.only(known);
        Some(fields)
    }

    /// Reads an object with any fields, for one whose fields depend on its content. Call
    /// [`Fields::only`] afterwards.
    pub(super) fn fields(&self) -> Option<Fields<'a>> {
        Some(Fields { at: self.clone(), fields: self.entries()? })
    }

    /// Reads an object of up to `most` entries whose names the writer chooses:
    /// `[a-z0-9][a-z0-9-]{0,62}`. An entry with another name is noted and left out.
    pub(super) fn named(&self, most: usize) -> Option<Vec<(&'a str, Node<'a>)>> {
        let mut entries = self.entries()?;
        if entries.len() > most {
            return self.fault(format!("must have at most {most} entries"));
        }
        entries.retain(|(name, entry)| {
            let fits = crate::keys::is_name(name);
            if !fits {
                entry.fault::<()>(
                    "a name is 1 to 63 characters of a-z, 0-9 and -, and does not begin with -; choose another",
                );
            }
            fits
        });
        Some(entries)
    }

    /// Returns the entries of an object, each name once.
    fn entries(&self) -> Option<Vec<(&'a str, Node<'a>)>> {
        let Tree::Object(fields) = self.node else { return self.wrong("an object") };
        let mut names: Vec<(&str, usize)> = Vec::with_capacity(fields.len());
        for (at, (name, _)) in fields.iter().enumerate() {
            names.push((name, at));
        }
        names.sort_unstable();
        let mut entries = Vec::with_capacity(fields.len());
        for (at, (name, node)) in fields.iter().enumerate() {
            let entry = self.child(name, node);
            let first = names.partition_point(|(other, _)| *other < name.as_str());
            if names.get(first) == Some(&(name, at)) {
                entries.push((name.as_str(), entry));
            } else {
                entry.fault::<()>("this name occurs twice; remove one");
            }
        }
        Some(entries)
    }
}

/// The fields of an object.
pub(super) struct Fields<'a> {
    pub(super) at: Node<'a>,
    fields: Vec<(&'a str, Node<'a>)>,
}

impl<'a> Fields<'a> {
    /// Notes a fault at every field that is not among the known ones.
    pub(super) fn only(&self, known: &[&str]) {
        for (name, field) in &self.fields {
            let is_known = known.iter().any(|known| {
                #[cfg(test)]
                compared::one();
                known == name
            });
            if !is_known {
                field.fault::<()>(format!("unknown field; the fields here are {}", known.join(", ")));
            }
        }
    }

    /// Returns the field of that name, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, at)| at.clone())
    }

    /// Returns the field of that name, and notes a fault if it is missing.
    pub(super) fn required(&self, name: &str) -> Option<Node<'a>> {
        self.get(name).or_else(|| self.at.missing(name, "is required"))
    }
}

/// Joins words as `a, b or c`.
pub(super) fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.collect();
    match words.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}

/// Counts the comparisons of names on this thread, so that tests see how the work grows.
#[cfg(test)]
pub(super) mod compared {
    use std::cell::Cell;

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    pub(in crate::policy) fn one() {
        COMPARED.set(COMPARED.get() + 1);
    }

    /// Returns how many comparisons `work` made.
    pub(in crate::policy) fn during(work: impl FnOnce()) -> usize {
        let before = COMPARED.get();
        work();
        COMPARED.get() - before
    }
}
