//! Finds calls with more records than the vendor takes in one call, before they cost quota.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use super::body::counts_over;
use super::profile::{Batch, Items};

/// Returns a sentence if the call has more records than its vendor takes at once. `body` is given
/// where it is not encoded and its type is known.
pub fn too_many(batch: &Batch, query: Option<&str>, body: Option<&[u8]>) -> Option<String> {
    let most = batch.most;
    let over = match &batch.items {
        Items::Body(pointer) => counts_over(body?, pointer, most),
        Items::List(name) => {
            let listed = |text: &str| parameter(text, name).is_some_and(|value| items(value) > most);
            let form = body.and_then(|body| std::str::from_utf8(body).ok());
            query.is_some_and(listed) || form.is_some_and(listed)
        }
        Items::Number(name) => parameter(query?, name)?.parse::<u64>().is_ok_and(|n| n > u64::from(most)),
    };
    over.then(|| {
        format!("the call is about more than {most} records, the most the vendor takes at once: send it in parts")
    })
}

/// Returns a parameter of a query or form as it is written there.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split('&').filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Counts the items between commas, percent-encoded commas included.
fn items(value: &str) -> u32 {
    let encoded = value.as_bytes().windows(3).filter(|three| three.eq_ignore_ascii_case(b"%2c")).count();
    let plain = value.bytes().filter(|byte| *byte == b',').count();
    u32::try_from(encoded + plain + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Profile;

    fn marketo(method: &str, path: &str, query: Option<&str>, body: Option<&str>) -> bool {
        let profile = Profile::built_in("marketo").unwrap();
        let batch = profile.batch_limit(method, path);
        batch.is_some_and(|batch| too_many(batch, query, body.map(str::as_bytes)).is_some())
    }

    fn leads(n: usize) -> String {
        let one = r#"{"email":"a@example.com","list":[1,2,{"input":[3]}]}"#;
        format!("{{\"action\":\"createOrUpdate\",\"input\":[{}]}}", vec![one; n].join(", "))
    }

    #[test]
    fn marketo_takes_300_leads_at_once() {
        for path in ["/rest/v1/leads.json", "/rest/v1/leads/delete.json", "/rest/v1/lists/7/leads.json"] {
            assert!(!marketo("POST", path, None, Some(&leads(300))), "{path}");
            assert!(marketo("POST", path, None, Some(&leads(301))), "{path}");
        }
        assert!(!marketo("POST", "/rest/v1/other.json", None, Some(&leads(301))));
        for odd in ["", "{", "[]", "{\"input\":{}}", "\u{fffd}"] {
            assert!(!marketo("POST", "/rest/v1/leads.json", None, Some(odd)), "{odd}: it is the vendor's to refuse");
        }
    }

    #[test]
    fn a_read_of_300_leads_is_one_call_in_a_query_or_a_form() {
        let values = |n: usize, comma: &str| format!("filterType=email&filterValues={}", vec!["a"; n].join(comma));
        let read = |query: &str| marketo("GET", "/rest/v1/leads.json", Some(query), None);
        let form = |body: &str| marketo("POST", "/rest/v1/leads.json", Some("_method=GET"), Some(body));
        for comma in [",", "%2C", "%2c"] {
            assert!(!read(&values(300, comma)) && read(&values(301, comma)), "{comma}");
        }
        assert!(!form(&values(300, ",")));
        assert!(!read("filterType=email") && !read("filterValues="));
    }

    #[test]
    fn asset_queries_ask_for_200_at_most() {
        let assets = |query: &str| marketo("GET", "/rest/asset/v1/emails.json", Some(query), None);
        assert!(!assets("maxReturn=200&offset=300") && assets("offset=0&maxReturn=201"));
        assert!(!assets("maxReturn=many") && !assets(""));
    }
}
