//! Profiles: what is known of each vendor, as data. Adding a vendor is adding one file to `src/vendor/profiles/`;
//! the build fails, naming file and field, on one that does not parse.

mod facts;
mod fields;
mod read;
mod routes;
#[cfg(test)]
mod table;

use crate::json::{self, Value};
pub use facts::{
    Batch, BodyLimit, Cache, CountPlace, Dialect, Executed, Items, KeyPlace, Meaning, Profile, Reading, Rule,
    TokenEndpoint, TokenPlace, TokenShape, VendorCount,
};
pub use fields::Fault;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// The name of every inline profile.
pub const INLINE: &str = "inline";

impl Profile {
    /// The built-in profile of that name.
    pub fn built_in(name: &str) -> Option<Self> {
        let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        // The build has read it already, so it parses.
        read::read(name, &json::read(text).ok()?).ok()
    }

    /// An inline profile.
    ///
    /// # Errors
    /// All faults, each with its JSON pointer from the profile's root.
    pub fn inline(value: &Value) -> Result<Self, Vec<Fault>> {
        Ok(Self { text: Some(value.to_string()), ..read::read(INLINE, value)? })
    }

    /// The names of the built-in profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The built-in profiles as a JSON object by name, for `GET /admin/vendors`.
    pub fn catalogue() -> String {
        let entries: Vec<_> = BUILT_IN.iter().map(|(name, text)| format!("\"{name}\":{}", text.trim())).collect();
        format!("{{{}}}", entries.join(","))
    }
}

impl Dialect {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, dialect)| *dialect == self).map_or("generic", |(name, _)| name)
    }

    /// The dialect of that name; none named is problem documents.
    pub fn named(name: &str) -> Self {
        Self::NAMES.iter().find(|(known, _)| *known == name).map_or(Self::Generic, |(_, dialect)| *dialect)
    }
}

/// On the wire a built-in profile is its name, an inline one its text.
#[derive(Serialize, Deserialize)]
enum Wire {
    BuiltIn(String),
    Inline(String),
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.text {
            Some(text) => Wire::Inline(text.clone()).serialize(to),
            None => Wire::BuiltIn(self.name.clone()).serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Wire::deserialize(from)? {
            Wire::BuiltIn(name) => Self::built_in(&name).ok_or_else(|| D::Error::custom("no such profile is built in")),
            Wire::Inline(text) => {
                let value = json::read(&text).map_err(D::Error::custom)?;
                Self::inline(&value).map_err(|_| D::Error::custom("the inline profile does not read"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
