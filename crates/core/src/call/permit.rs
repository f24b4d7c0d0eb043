//! A permit as a call holds it.

use crate::http::{Mask, Placed};
use crate::policy::Credential;
use crate::protocol::{Bearer, Route, Sent, TokenMark};
use crate::refusal::{Reason, Refusal};
use crate::upstream::credential;
use sluice_limiter::PermitId;
use std::rc::Rc;

/// The right to send one call once, now.
#[derive(Debug, Clone)]
pub struct Permit {
    /// The tenant's name.
    pub tenant: String,
    /// The connection's name.
    pub connection: String,
    /// The id under which the permit is settled.
    pub id: PermitId,
    /// Where the call goes.
    pub route: Rc<Route>,
    /// The access token to use, where the route has no credential.
    pub bearer: Option<Rc<Bearer>>,
    /// The `RateLimit` field for the caller.
    pub rate_limit: String,
    /// The `Sluice-Would` field for the caller.
    pub would: Option<String>,
    /// When the permit arrived, Unix ms.
    pub at: i64,
    /// What the statistics count, as if the call were sent at once.
    pub sent: Sent,
}

impl Permit {
    /// Returns the mark of the access token, where one is used.
    pub fn token_mark(&self) -> Option<TokenMark> {
        self.bearer.as_ref().map(|bearer| bearer.mark)
    }

    /// Whether the caller's own credential goes on to the vendor.
    pub fn passes_through(&self) -> bool {
        matches!(self.route.credential, Some(Credential::Passthrough))
    }

    /// Returns the credential that the call goes out with: that of the route, or else the access
    /// token that came with the permit.
    ///
    /// # Errors
    /// If there is neither.
    pub fn outgoing_credential(&self) -> Result<OutgoingCredential, Refusal> {
        let (own, profile) = (self.route.credential.as_ref(), &self.route.profile);
        let placed = match (own, &self.bearer) {
            (Some(own), _) => credential::placed(own, profile),
            (None, Some(bearer)) => Some(credential::placed_token(&bearer.token, profile)),
            (None, None) => None,
        };
        let placed =
            placed.ok_or_else(|| Refusal::new(Reason::Internal, "the permit came without a credential: try again"))?;
        let token = match (own, &self.bearer) {
            (Some(Credential::Bearer { token }), _) => Some(token.clone()),
            (None, Some(bearer)) => Some(bearer.token.clone()),
            _ => None,
        };
        let mask = credential::mask(own, token.as_deref(), &placed);
        Ok(OutgoingCredential { placed, token, mask })
    }

    /// Whether a limit counts the bytes of this call's answer, which then have to be known whatever becomes of it. A limit on
    /// bytes says so in its field of `RateLimit-Policy`, and whether it is about this call in `RateLimit`.
    pub fn counts_content_bytes(&self) -> bool {
        let is_about_this = |item: &str| self.rate_limit.contains(item.split(';').next().unwrap_or_default().trim());
        let mut limits = self.route.rate_limit_policy.split(',');
        limits.any(|item| item.contains("content-bytes") && is_about_this(item))
    }
}

/// A credential on its way to the vendor. It is never shown.
pub struct OutgoingCredential {
    /// Where it goes.
    pub placed: Placed,
    /// The token in it, if it is one, which may also have to go elsewhere.
    pub token: Option<String>,
    /// What takes it out of the answer.
    pub mask: Mask,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RouteVersion;
    use crate::upstream::Profile;

    fn permit(credential: Option<Credential>, token: Option<&str>) -> Permit {
        let route = Route {
            version: RouteVersion(1),
            profile: Profile::built_in("generic").unwrap(),
            base_url: "https://vendor.example".to_owned(),
            credential,
            timeout_ms: 1_000,
            attempts: 1,
            max_wait_ms: 0,
            max_pause_ms: 0,
            unhurried: false,
            rate_limit_policy: String::new(),
        };
        Permit {
            tenant: "acme".to_owned(),
            connection: "crm".to_owned(),
            id: PermitId { epoch: 1, lane: 0, seq: 1, slot: 0 },
            route: Rc::new(route),
            bearer: token.map(|token| Rc::new(Bearer { token: token.to_owned(), mark: TokenMark(3) })),
            rate_limit: String::new(),
            would: None,
            at: 0,
            sent: Sent { app: String::new(), method: String::new(), path: String::new(), nth: 1, ago_ms: 0 },
        }
    }

    #[test]
    fn the_routes_own_credential_goes_out_before_a_fetched_token() {
        let bearer = Credential::Bearer { token: "own-token".to_owned() };
        let basic = Credential::Basic { username: "me".to_owned(), password: "password".to_owned() };
        let fetched = Credential::ClientCredentials {
            client_id: String::new(),
            client_secret: String::new(),
            token_url: None,
            scope: None,
        };
        for (credential, token, header, shown) in [
            (Some(bearer.clone()), None, Some("Bearer own-token"), Some("own-token")),
            (Some(bearer), Some("fetched"), Some("Bearer own-token"), Some("own-token")),
            (None, Some("fetched"), Some("Bearer fetched"), Some("fetched")),
            (Some(basic), Some("fetched"), Some("Basic bWU6cGFzc3dvcmQ="), None),
            (Some(Credential::Passthrough), Some("fetched"), None, None),
        ] {
            let out = permit(credential, token).outgoing_credential().unwrap();
            assert_eq!(out.placed.header.as_ref().map(|(_, value)| value.as_str()), header);
            assert_eq!(out.token.as_deref(), shown);
            if let Some(shown) = shown {
                let masked = out.mask.text(&format!("it was {shown}"));
                assert!(masked.is_some_and(|text| !text.contains(shown)));
            }
        }
        for without in [permit(None, None), permit(Some(fetched), Some("fetched"))] {
            assert_eq!(without.outgoing_credential().err().map(|refusal| refusal.reason), Some(Reason::Internal));
        }
    }

    #[test]
    fn the_bytes_of_an_answer_are_counted_if_a_limit_on_bytes_is_about_this_call() {
        for (policy, fields, counted) in [
            ("", "", false),
            (r#""rate";q=100;w=10"#, r#""rate";r=7;t=1"#, false),
            (r#""rate";q=100;w=10, "volume";q=1000;qu="content-bytes";w=60"#, r#""rate";r=7, "volume";r=9"#, true),
            (r#""rate";q=100;w=10, "volume";q=1000;qu="content-bytes";w=60"#, r#""rate";r=7"#, false),
        ] {
            let mut permit = permit(Some(Credential::Passthrough), None);
            permit.route = Rc::new(Route { rate_limit_policy: policy.to_owned(), ..(*permit.route).clone() });
            permit.rate_limit = fields.to_owned();
            assert_eq!(permit.counts_content_bytes(), counted, "{policy} | {fields}");
        }
    }
}
