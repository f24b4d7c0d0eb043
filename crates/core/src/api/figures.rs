//! The status and the statistics, as they are asked for.

use crate::http::{Address, Target};
use crate::keys::{Claims, Role};
use crate::protocol::{Figures, ReportSpan};
use crate::refusal::{Reason, Refusal};
use crate::usage::Kind;

/// The protocol that the live status is spoken in, as a page's WebSocket offers it.
pub const LIVE_PROTOCOL: &str = "sluice.v1";

/// Which statistics are asked for; none for the status.
///
/// # Errors
/// If the query says what it cannot.
pub fn asked(target: &Target<'_>) -> Result<Option<Figures>, Refusal> {
    let (kind, week) = match target.address {
        Address::Usage { week } => (Kind::Usage, week),
        Address::Errors { week } => (Kind::Errors, week),
        Address::Metrics => return Ok(Some(Figures::Metrics)),
        _ => return Ok(None),
    };
    let mut connection = None;
    for pair in target.query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("connection=") {
            Some(name) => connection = Some(name.to_owned()),
            None => {
                return Err(Refusal::new(Reason::Request, "the query may say connection=NAME, and nothing else"));
            }
        }
    }
    let span = if week { ReportSpan::Week } else { ReportSpan::Today };
    Ok(Some(Figures::Days { kind, span, connection }))
}

/// Whether a page asks that an app's key does not work from: any but Sluice's own. The object has had its say before, and lets
/// no app with origins see the figures at all.
pub fn is_foreign_page(claims: &Claims, is_page: bool, is_own_page: bool) -> bool {
    claims.role == Role::App && is_page && !is_own_page
}

/// The refusal of a page that an app's key does not work from.
pub fn foreign_page() -> Refusal {
    Refusal::new(Reason::Origin, "an app's key does not work from a page: use a viewer's key")
}

/// Whether the live status's own protocol is among those that a page's WebSocket offers.
pub fn offers_live_protocol(offered: &str) -> bool {
    offered.split(',').any(|protocol| protocol.trim() == LIVE_PROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_target;

    #[test]
    fn an_address_says_which_statistics_and_its_query_of_which_connection() {
        let of =
            |url: &str| format!("{:?}", asked(&parse_target(url, None).unwrap()).map_err(|refusal| refusal.reason));
        let days = |kind, span, connection: Option<&str>| {
            format!("Ok(Some(Days {{ kind: {kind}, span: {span}, connection: {connection:?} }}))")
        };
        assert_eq!(of("https://s.example/status.json"), "Ok(None)");
        assert_eq!(of("https://s.example/metrics"), "Ok(Some(Metrics))");
        assert_eq!(of("https://s.example/stats/usage.json"), days("Usage", "Today", None));
        assert_eq!(
            of("https://s.example/stats/usage/last7days.json?connection=crm"),
            days("Usage", "Week", Some("crm"))
        );
        assert_eq!(
            of("https://s.example/stats/errors.json?&connection=a&connection=b"),
            days("Errors", "Today", Some("b"))
        );
        for query in ["app=a", "connection", "connection=crm&x"] {
            assert_eq!(of(&format!("https://s.example/stats/errors.json?{query}")), "Err(Request)", "{query}");
        }
    }

    #[test]
    fn an_apps_key_works_from_no_page_but_sluices_own() {
        for (role, is_page, is_own, foreign) in [
            (Role::App, false, false, false),
            (Role::App, true, true, false),
            (Role::App, true, false, true),
            (Role::Viewer, true, false, false),
            (Role::Operator, true, false, false),
        ] {
            let claims = Claims { tenant: "acme".to_owned(), id: "1".to_owned(), role, app: None, expires: None };
            assert_eq!(is_foreign_page(&claims, is_page, is_own), foreign, "{role:?} {is_page} {is_own}");
        }
    }

    #[test]
    fn the_live_protocol_is_found_among_others() {
        assert!(offers_live_protocol("sluice.v1, slk_key") && offers_live_protocol("slk_key,  sluice.v1 "));
        assert!(!offers_live_protocol("") && !offers_live_protocol("sluice.v10, slk_key"));
    }
}
