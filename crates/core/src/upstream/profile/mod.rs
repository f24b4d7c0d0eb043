//! The profile of each vendor, as data. To add a vendor is to add a file to
//! `src/upstream/profiles/`. If one does not parse, the build fails and names the file and the
//! field.

mod routes;

use crate::document::{self, Tree};
pub use routes::AboutToken;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
pub(crate) use sluice_profile::names;
pub use sluice_profile::{
    Account, AlsoIn, Batch, Cache, CountPlace, Dialect, Executed, Facts, Fault, Items, KeyPlace, Meaning, MethodPlace,
    Reading, Rule, SizeLimit, TokenEndpoint, TokenPlace, TokenShape, TotalPlace, VendorCount,
};
use std::ops::Deref;

include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// The name that every inline profile has.
pub const INLINE: &str = "inline";

/// A vendor as data: a file in `src/upstream/profiles/`, or a connection's inline `profile`. Its
/// content is in [`Facts`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile(Facts);

impl Deref for Profile {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl Profile {
    /// Returns the built-in profile of that name.
    pub fn built_in(name: &str) -> Option<Self> {
        let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        // The build has parsed the text already, so this cannot fail.
        sluice_profile::read(name, &serde_json::from_str(text).ok()?).ok().map(Self)
    }

    /// Reads an inline profile.
    ///
    /// # Errors
    /// It fails with all faults, each with its JSON pointer from the profile's root.
    pub fn inline(value: &Tree) -> Result<Self, Vec<Fault>> {
        Ok(Self(Facts { text: Some(document::text(value)), ..sluice_profile::read(INLINE, value)? }))
    }

    /// Yields the names of the built-in profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Returns the built-in profiles as a JSON object by name, for `GET /admin/vendors`.
    pub fn catalogue() -> String {
        let entries: Vec<_> = BUILT_IN.iter().map(|(name, text)| format!("\"{name}\":{}", text.trim())).collect();
        format!("{{{}}}", entries.join(","))
    }
}

/// The binary form of a profile: the name of a built-in one, the text of an inline one.
#[derive(Serialize, Deserialize)]
enum Written {
    BuiltIn(String),
    Inline(String),
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match &self.text {
            Some(text) => Written::Inline(text.clone()),
            None => Written::BuiltIn(self.name.clone()),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let profile = match Written::deserialize(deserializer)? {
            Written::BuiltIn(name) => Self::built_in(&name),
            Written::Inline(text) => serde_json::from_str(&text).ok().and_then(|value| Self::inline(&value).ok()),
        };
        profile.ok_or_else(|| D::Error::custom("this release has no such profile"))
    }
}

#[cfg(test)]
mod tests;
