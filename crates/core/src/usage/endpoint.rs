//! Folds paths for the statistics: the parts that differ from record to record are replaced, so
//! that an endpoint is one line.

use crate::keys::PREFIX;

/// The text that replaces a record's id.
const ID: &str = "{id}";

/// The number of digits of a UUID, and also of an MD5, by which Mailchimp names its subscribers.
const HEX_DIGITS: usize = 32;

/// Returns a path with its ids folded: segments that are numbers, UUIDs (or as many hexadecimal
/// digits without dashes) or e-mail addresses become `{id}`, also before an extension
/// (`/lead/17.json`, as at Marketo). A segment that contains a Sluice key, put there by mistake,
/// becomes `***`.
pub fn fold(path: &str) -> String {
    let mut folded = String::with_capacity(path.len());
    for (place, segment) in path.split('/').enumerate() {
        if place > 0 {
            folded.push('/');
        }
        if segment.contains(PREFIX) {
            folded.push_str("***");
        } else if is_id(segment) {
            folded.push_str(ID);
        } else {
            match segment.rsplit_once('.') {
                Some((id, extension)) if is_id(id) && extension.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                    folded.push_str(ID);
                    folded.push('.');
                    folded.push_str(extension);
                }
                _ => folded.push_str(segment),
            }
        }
    }
    folded
}

fn is_id(segment: &str) -> bool {
    is_number(segment) || is_uuid(segment) || is_email(segment)
}

fn is_number(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_uuid(segment: &str) -> bool {
    let dashed = segment.len() == HEX_DIGITS + 4;
    if !dashed && segment.len() != HEX_DIGITS {
        return false;
    }
    segment.bytes().enumerate().all(|(at, byte)| {
        if dashed && matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() }
    })
}

fn is_email(segment: &str) -> bool {
    let parts = segment.split_once('@').or_else(|| segment.split_once("%40"));
    parts.is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn numbers_uuids_and_addresses_are_one_endpoint() {
        for (path, folded) in [
            ("/rest/v1/leads.json", "/rest/v1/leads.json"),
            ("/rest/v1/lead/318581.json", "/rest/v1/lead/{id}.json"),
            ("/crm/v3/objects/contacts/17", "/crm/v3/objects/contacts/{id}"),
            ("/a/6F9619FF-8B86-D011-B42D-00C04FC964FF/b", "/a/{id}/b"),
            ("/3.0/lists/1a2b3c4d5e/members/62eeb292278cc15f5817cb78f7790b08", "/3.0/lists/1a2b3c4d5e/members/{id}"),
            ("/contacts/jo@example.com", "/contacts/{id}"),
            ("/contacts/jo%40example.com/17", "/contacts/{id}/{id}"),
            ("/services/data/v59.0/query", "/services/data/v59.0/query"),
            ("//1//", "//{id}//"),
            ("/", "/"),
            ("/@me/v3", "/@me/v3"),
            ("/1.5", "/1.5"),
        ] {
            assert_eq!(fold(path), folded);
        }
    }

    #[test]
    fn a_key_in_a_path_is_not_kept() {
        assert_eq!(fold("/x/slk_abc/y"), "/x/***/y");
    }
}
