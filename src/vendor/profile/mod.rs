//! Profiles: what is known of each vendor, as data. Adding a vendor is adding one file to `src/vendor/profiles/`;
//! the build fails, naming file and field, on one that does not parse.

mod facts;
mod fields;
pub(crate) mod names;
mod read;
mod routes;
#[cfg(test)]
mod table;

use crate::json::{self, Value};
use crate::wire::{Reader, Wire, wire};
pub use facts::{
    Account, AlsoIn, Batch, Cache, CountPlace, Dialect, Executed, Items, KeyPlace, Meaning, MethodPlace, Profile,
    Reading, Rule, SizeLimit, TokenEndpoint, TokenPlace, TokenShape, TotalPlace, VendorCount,
};
pub use fields::Fault;
pub use routes::AboutToken;

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

/// On the wire: a built-in profile is its name, an inline one its text.
enum Written {
    BuiltIn(String),
    Inline(String),
}

wire!(enum Written { 0 BuiltIn(name), 1 Inline(text) });

impl Wire for Profile {
    fn write(&self, to: &mut Vec<u8>) {
        let written = match &self.text {
            Some(text) => Written::Inline(text.clone()),
            None => Written::BuiltIn(self.name.clone()),
        };
        written.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let read = match Written::read(from) {
            Written::BuiltIn(name) => Self::built_in(&name),
            Written::Inline(text) => json::read(&text).ok().and_then(|value| Self::inline(&value).ok()),
        };
        read.unwrap_or_else(|| {
            from.spoil();
            Self::default()
        })
    }
}

#[cfg(test)]
mod tests;
