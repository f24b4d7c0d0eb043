//! Reads `Priority` (RFC 9218): a structured dictionary, of which only `u` is used.

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};
use std::convert::Infallible;

/// Returns the urgency in a `Priority` field, from 0 (first) to 7. It is `None` when the field has
/// none or cannot be read; the default is then 3 for a direct call and 5 for a job. Join several
/// lines with `, ` first.
pub fn urgency(field: Option<&str>) -> Option<u8> {
    Parser::new(field?).parse_dictionary_with_visitor(Urgency(None)).ok()?
}

/// The latest `u` of the dictionary so far. A visitor is used because a dictionary would need a
/// hash table.
struct Urgency(Option<u8>);

impl<'de> DictionaryVisitor<'de> for Urgency {
    type Out = Option<u8>;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok((key.as_str() == "u").then_some(self))
    }

    fn finish(self) -> Result<Option<u8>, Infallible> {
        Ok(self.0)
    }
}

impl<'de> EntryVisitor<'de> for &mut Urgency {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.0 = None;
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for &mut Urgency {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        self.0 = match item {
            BareItemFromInput::Integer(urgency) => {
                u8::try_from(i64::from(urgency)).ok().filter(|urgency| *urgency <= 7)
            }
            _ => None,
        };
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::urgency;

    #[test]
    fn urgency_is_read_wherever_it_stands() {
        assert_eq!(urgency(Some("u=0")), Some(0));
        assert_eq!(urgency(Some("i, u=7;x=1")), Some(7));
        assert_eq!(urgency(Some("u=1, u=5")), Some(5), "a structured dictionary's last member counts");
    }

    #[test]
    fn what_is_not_an_urgency_is_none() {
        for field in ["", "i", "u=8", "u=-1", "u=3.0", "u=\"3\"", "u", "u=(1)", "u=1,", "U=1", "u=1 2", "ü=1"] {
            assert_eq!(urgency(Some(field)), None, "{field}");
        }
        assert_eq!(urgency(None), None);
    }
}
