//! Decides where a credential goes in a call: by its type, and for a token by the profile.

use super::methods;
use super::profile::{AlsoIn, Profile, TokenPlace};
use crate::http::{Mask, Placed};
use crate::keys::Taken;
use crate::percent::{decoded, encoded};
use crate::policy::{Credential, Routes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Returns where a credential goes, with nothing in it for `passthrough`. It is `None` for a
/// credential for which a token must be fetched first: that token goes where [`placed_token`] says.
pub fn placed(credential: &Credential, profile: &Profile) -> Option<Placed> {
    match credential {
        Credential::Passthrough => Some(Placed::default()),
        Credential::Bearer { token } => Some(placed_token(token, profile)),
        Credential::Basic { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{password}"));
            Some(header("Authorization", format!("Basic {pair}")))
        }
        Credential::Header { name, value } => Some(header(name, value.clone())),
        Credential::Query { name, value } => Some(query(name, value)),
        Credential::ClientCredentials { .. } | Credential::RefreshToken { .. } | Credential::JwtBearer { .. } => None,
    }
}

/// Returns where a token goes for this vendor.
pub fn placed_token(token: &str, profile: &Profile) -> Placed {
    match &profile.token_in {
        TokenPlace::Header { name, prefix } => header(name, format!("{prefix}{token}")),
        TokenPlace::Query(name) => query(name, token),
    }
}

/// Returns the headers into which a token goes beside its usual place, for a call on this route
/// whose head had keys in the places `taken`.
pub fn also_placed(
    token: &str,
    profile: &Profile,
    (methods, path): (&str, &str),
    taken: &Taken,
) -> Vec<(String, String)> {
    let goes = |also: &&AlsoIn| {
        let routes = Routes::of(&also.routes);
        (!also.routes.is_empty() && methods::each(methods).any(|method| routes.matches(method, path)))
            || taken.headers.iter().any(|name| name.eq_ignore_ascii_case(&also.header))
    };
    let places = profile.token_also_in.iter().filter(goes);
    places.map(|also| (also.header.clone(), format!("{}{token}", also.prefix))).collect()
}

/// Returns what must be removed from the answer to a call that had this credential put in. `token`
/// is the access token that was fetched for it, if one was.
pub fn mask(credential: Option<&Credential>, token: Option<&str>, placed: &Placed) -> Mask {
    let mut texts: Vec<String> = placed.header.iter().map(|(_, value)| value.clone()).collect();
    // A vendor may repeat the credential without its scheme.
    texts.extend(placed.header.iter().filter_map(|(_, value)| Some(value.split_once(' ')?.1.trim().to_owned())));
    texts.extend(token.map(str::to_owned));
    match credential {
        Some(Credential::Bearer { token }) => texts.push(token.clone()),
        Some(Credential::Basic { username, password }) => {
            // Some vendors take an API key as the user name, beside a password that is empty or a
            // mere placeholder.
            let secret = if password.len() < SECRET_BYTES { username } else { password };
            texts.extend([secret.clone(), format!("{username}:{password}")]);
        }
        Some(Credential::Header { value, .. } | Credential::Query { value, .. }) => texts.push(value.clone()),
        _ => {}
    }
    Mask::new(texts, placed.query.as_ref().map(|(name, value)| (decoded(name.as_bytes()), decoded(value.as_bytes()))))
}

/// A shorter password is not a secret, bytes.
const SECRET_BYTES: usize = 6;

fn header(name: &str, value: String) -> Placed {
    Placed { header: Some((name.to_owned(), value)), query: None }
}

fn query(name: &str, value: &str) -> Placed {
    Placed { header: None, query: Some((encoded(name), encoded(value))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Tree;
    use serde_json::json;

    fn generic() -> Profile {
        Profile::built_in("generic").unwrap()
    }

    fn in_header(placed: Placed) -> (String, String) {
        assert_eq!(placed.query, None);
        placed.header.unwrap()
    }

    #[test]
    fn passthrough_puts_nothing_in() {
        assert_eq!(placed(&Credential::Passthrough, &generic()), Some(Placed::default()));
    }

    #[test]
    fn static_credentials_go_where_their_type_says() {
        let of = |credential| placed(&credential, &generic()).unwrap();
        let bearer = of(Credential::Bearer { token: "t".into() });
        assert_eq!(in_header(bearer), ("Authorization".into(), "Bearer t".into()));
        let basic = of(Credential::Basic { username: "Aladdin".into(), password: "open sesame".into() });
        assert_eq!(in_header(basic), ("Authorization".into(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into()));
        let own = of(Credential::Header { name: "X-Api-Key".into(), value: "k".into() });
        assert_eq!(in_header(own), ("X-Api-Key".into(), "k".into()));
        let query = of(Credential::Query { name: "api_secret".into(), value: "a&b=c d/é".into() });
        assert_eq!(query.query, Some(("api_secret".into(), "a%26b%3Dc%20d%2F%C3%A9".into())));
    }

    #[test]
    fn a_token_goes_where_the_profile_says() {
        let with = |place: serde_json::Value| Profile::inline(&Tree::from(&json!({"token_in": place}))).unwrap();
        let own = with(json!({"header": "X-Token", "prefix": "Key "}));
        assert_eq!(in_header(placed_token("t", &own)), ("X-Token".into(), "Key t".into()));
        let bare = with(json!({"header": "X-Token"}));
        assert_eq!(in_header(placed_token("t", &bare)), ("X-Token".into(), "t".into()));
        let query = with(json!({"query": "api_secret"}));
        assert_eq!(placed_token("t+", &query).query, Some(("api_secret".into(), "t%2B".into())));
    }

    #[test]
    fn salesforces_bulk_api_gets_the_token_in_its_own_header_too() {
        let salesforce = Profile::built_in("salesforce").unwrap();
        let also = |path, taken: &[&str]| {
            let taken = Taken { headers: taken.iter().map(|name| (*name).to_owned()).collect(), query: Vec::new() };
            also_placed("t", &salesforce, ("POST", path), &taken)
        };
        let session = [("X-SFDC-Session".to_owned(), "t".to_owned())];
        assert_eq!(also("/services/async/59.0/job", &["authorization"]), session);
        assert_eq!(also("/services/other", &["x-sfdc-session"]), session, "where the key came from");
        assert_eq!(also("/services/data/v60.0/query", &["authorization"]), []);
    }

    #[test]
    fn the_answer_shows_nothing_of_what_was_put_in_whatever_its_type_is() {
        let profile = generic();
        let with = |credential: Credential| {
            let placed = placed(&credential, &profile).unwrap();
            mask(Some(&credential), None, &placed)
        };
        let bearer = with(Credential::Bearer { token: "pat-real".into() });
        assert_eq!(bearer.text("Bearer pat-real, pat-real").as_deref(), Some("***, ***"));
        let basic = with(Credential::Basic { username: "any".into(), password: "hush-hush".into() });
        assert_eq!(basic.text("https://any:hush-hush@v.example").as_deref(), Some("https://***@v.example"));
        assert_eq!(basic.text("Basic YW55Omh1c2gtaHVzaA==").as_deref(), Some("***"));
        assert_eq!(basic.text("YW55Omh1c2gtaHVzaA==; any").as_deref(), Some("***; any"));
        let name = with(Credential::Basic { username: "key-as-a-name".into(), password: "x".into() });
        assert_eq!(name.text("x for key-as-a-name").as_deref(), Some("x for ***"));
        let own = with(Credential::Header { name: "X-Api-Key".into(), value: "Token abc def".into() });
        assert_eq!(own.text("your key is abc def").as_deref(), Some("your key is ***"));
        let query = with(Credential::Query { name: "api key".into(), value: "a&b=c d/é".into() });
        let target = "/x?a=1&api%20key=a%26b%3Dc%20d%2F%C3%A9&b=2";
        assert_eq!(query.header("location", target).as_deref(), Some("/x?a=1&b=2"));
        assert_eq!(query.text(target).as_deref(), Some("/x?a=1&api%20key=***&b=2"));
        let fetched = placed_token("fetched-token", &profile);
        assert_eq!(mask(None, Some("fetched-token"), &fetched).text("fetched-token").as_deref(), Some("***"));
        let nothing = mask(Some(&Credential::Passthrough), None, &Placed::default());
        assert_eq!(nothing.text("Bearer the-callers-own"), None);
    }

    #[test]
    fn a_credential_that_needs_a_token_fetched_is_not_placed_yet() {
        let credential = Credential::ClientCredentials {
            client_id: "i".into(),
            client_secret: "s".into(),
            token_url: None,
            scope: None,
        };
        assert_eq!(placed(&credential, &generic()), None);
    }
}
