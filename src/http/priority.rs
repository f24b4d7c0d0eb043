//! `Priority` (RFC 9218): a structured dictionary, of which `u` is heeded.

use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The urgency that a `Priority` field asks for, 0 (first) to 7; none when it says none, or cannot be read: the default
/// of a direct call is then 3, of a job 5. Several lines are to be joined with `, ` first.
pub fn urgency(field: Option<&str>) -> Option<u8> {
    let dictionary: Dictionary = Parser::new(field?).parse().ok()?;
    let ListEntry::Item(item) = dictionary.get("u")? else {
        return None;
    };
    let BareItem::Integer(urgency) = item.bare_item else {
        return None;
    };
    u8::try_from(i64::from(urgency)).ok().filter(|urgency| *urgency <= 7)
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
