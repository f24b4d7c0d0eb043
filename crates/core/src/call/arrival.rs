//! What is checked of a call before its body is read and anything is asked: where it goes, who makes it, and with which key.

use crate::http::{Address, Target, VendorTarget};
use crate::keys::{Claims, PREFIX, Place, Role, Search};
use crate::refusal::{Reason, Refusal};
use crate::upstream::places;
use crate::upstream::token::may_be_token_path;

/// How a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A client sends it.
    Plain,
    /// A browser opens the address, or posts a form to it.
    Navigation,
    /// A client asks for a WebSocket.
    Upgrade,
}

/// Returns the vendor's part of a call's target.
///
/// # Errors
/// If the address is no vendor's, or a call does not come in this manner.
pub fn vendor_target<'a>(target: &Target<'a>, manner: Manner) -> Result<VendorTarget<'a>, Refusal> {
    let Address::Vendor(vendor) = target.address else {
        return Err(Refusal::new(Reason::NotFound, "no connection is at this address"));
    };
    match manner {
        Manner::Plain => Ok(vendor),
        Manner::Navigation => {
            let detail = "a browser does not open a vendor's address, nor post a form to it: call it from a script";
            Err(Refusal::new(Reason::Origin, detail))
        }
        Manner::Upgrade => {
            let detail = "websockets to a vendor are not forwarded: use plain http";
            Err(Refusal::new(Reason::Upgrade, detail))
        }
    }
}

/// When a call's body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyTiming {
    /// The address may be that of a token endpoint, whose requests are answered here.
    pub is_token_path: bool,
    /// The body is read before it is known who calls.
    pub is_early: bool,
}

/// Returns when the body of a call at this path of its vendor is read, with these keys in its head:
/// before anything else where the key may stand in the body.
pub fn body_timing(path: &str, search: &Search<'_>) -> BodyTiming {
    let is_token_path = may_be_token_path(path);
    BodyTiming { is_token_path, is_early: is_token_path || search.caller.is_none() }
}

/// Returns the key that a call is made with: that of its head, or else the first in its body. The
/// key is not checked yet.
///
/// # Errors
/// If there is none, or it is in a SOAP envelope.
pub fn callers_key<'a>(
    search: &'a Search<'_>,
    in_body: Option<&'a str>,
    headers: &[(String, String)],
) -> Result<&'a str, Refusal> {
    match (&search.caller, in_body) {
        (Some(found), _) => Ok(&found.key),
        (None, Some(_)) if places::is_soap(headers) => Err(places::soap()),
        (None, Some(key)) => Ok(key),
        (None, None) => {
            let places = "in Sluice-Key, or where the vendor's own credential would go";
            Err(Refusal::new(Reason::Key, format!("no key: send one ({PREFIX}…) {places}")))
        }
    }
}

/// Whether the key came in `Sluice-Key`, beside the vendor's own credential.
pub fn is_key_apart(search: &Search<'_>) -> bool {
    search.caller.as_ref().is_some_and(|found| found.place == Place::Apart)
}

/// Checks that a key is one that calls are made with.
///
/// # Errors
/// If it is not.
pub fn check_role(claims: &Claims) -> Result<(), Refusal> {
    if claims.role == Role::App {
        return Ok(());
    }
    Err(Refusal::new(Reason::Role, "this key sees figures alone: make calls with an app's key"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_target;
    use crate::keys::Found;

    fn search(place: Option<Place<'static>>) -> Search<'static> {
        Search { caller: place.map(|place| Found { key: "slk_head".into(), place }), ..Search::default() }
    }

    #[test]
    fn a_call_goes_to_a_vendor_and_comes_from_a_script() {
        let of = |url, manner| {
            let target = parse_target(url, Some(".api.example.com")).unwrap();
            vendor_target(&target, manner).map(|vendor| vendor.connection.to_owned()).map_err(|refusal| refusal.reason)
        };
        let (by_path, by_host) = ("https://s.example/v/crm/x", "https://crm.api.example.com/x");
        for (url, manner, wanted) in [
            (by_path, Manner::Plain, Ok("crm")),
            (by_host, Manner::Plain, Ok("crm")),
            (by_path, Manner::Navigation, Err(Reason::Origin)),
            (by_host, Manner::Upgrade, Err(Reason::Upgrade)),
            ("https://s.example/status.json", Manner::Plain, Err(Reason::NotFound)),
            // The address is looked at first.
            ("https://s.example/status.json", Manner::Navigation, Err(Reason::NotFound)),
        ] {
            assert_eq!(of(url, manner), wanted.map(str::to_owned), "{url} {manner:?}");
        }
    }

    #[test]
    fn a_body_is_read_early_where_a_key_may_stand_in_it() {
        let of = |path, place| {
            let timing = body_timing(path, &search(place));
            (timing.is_token_path, timing.is_early)
        };
        assert_eq!(of("/x", Some(Place::Apart)), (false, false));
        assert_eq!(of("/x", None), (false, true));
        assert_eq!(of("/oauth2/token", Some(Place::Apart)), (true, true));
        assert_eq!(of("/oauth2/token", None), (true, true));
    }

    #[test]
    fn a_key_in_the_head_counts_before_one_in_the_body_and_none_counts_in_an_envelope() {
        let soap = [("soapaction".to_owned(), "query".to_owned())];
        for (place, in_body, headers, wanted) in [
            (Some(Place::Apart), Some("slk_body"), &[][..], Ok("slk_head")),
            (Some(Place::Query("k")), None, &[], Ok("slk_head")),
            (Some(Place::Apart), Some("slk_body"), &soap, Ok("slk_head")),
            (None, Some("slk_body"), &[], Ok("slk_body")),
            (None, Some("slk_body"), &soap, Err("envelope")),
            (None, None, &[], Err("no key: send one (slk_")),
            (None, None, &soap, Err("no key: send one (slk_")),
        ] {
            let search = search(place);
            match (callers_key(&search, in_body, headers), wanted) {
                (Ok(key), Ok(wanted)) => assert_eq!(key, wanted),
                (Err(refusal), Err(said)) => {
                    assert_eq!(refusal.reason, Reason::Key);
                    assert!(refusal.detail.contains(said), "{}", refusal.detail);
                }
                (key, _) => panic!("{place:?} {in_body:?}: {key:?}"),
            }
        }
    }

    #[test]
    fn only_a_key_in_sluice_key_is_apart() {
        assert!(is_key_apart(&search(Some(Place::Apart))));
        for place in [None, Some(Place::Authorization("Bearer")), Some(Place::Header("x-api-key")), Some(Place::Path)] {
            assert!(!is_key_apart(&search(place)), "{place:?}");
        }
    }

    #[test]
    fn calls_are_made_with_an_apps_key_alone() {
        for (role, held) in [(Role::App, true), (Role::Viewer, false), (Role::Operator, false)] {
            let claims = Claims { tenant: "acme".to_owned(), id: "1".to_owned(), role, app: None, expires: None };
            assert_eq!(
                check_role(&claims).map_err(|refusal| refusal.reason),
                if held { Ok(()) } else { Err(Reason::Role) }
            );
        }
    }
}
