//! The other side of a token endpoint: what is sent there for a connection's own credential, and what the answer says.
//! Nothing here is counted against the vendor's limits: token endpoints have none of a call's (Marketo says so outright).

use super::pem::pkcs8;
use super::profile::Profile;
use crate::document::text;
use crate::http::Mask;
use crate::percent::{decoded, encoded};
use crate::policy::Credential;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a token endpoint may take, from send to last byte, milliseconds. Usual are some hundred.
pub const EXCHANGE_MS: u64 = 10_000;

/// The most of its answer that is read, bytes: a token or two.
pub const LONGEST_ANSWER: usize = 64 * 1024;

/// The longest token that is taken, bytes: what servers take in one header.
const LONGEST_TOKEN: usize = 8 * 1024;

/// How long a token is held good whose life is not told, seconds, where the profile does not know better.
const USUAL_LIFE_S: u64 = 3_600;

/// The longest life that is believed, seconds: a year.
const LONGEST_LIFE_S: u64 = 31_536_000;

/// How long an assertion works, seconds. Salesforce takes no more than 3 minutes.
const ASSERTION_S: i64 = 120;

/// A request for an access token: a form, posted. Its `Debug` shows the URL alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The token endpoint.
    pub url: String,
    /// Client and secret for Basic authentication, encoded, where the vendor wants them there.
    pub basic: Option<String>,
    /// The form, encoded.
    pub form: String,
    /// What is to be signed and put into the form as `assertion`.
    pub sign: Option<Signing>,
    /// From send to last byte, milliseconds.
    pub timeout_ms: u64,
}

/// An assertion that lacks its signature (RS256).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The private key: PKCS #8 in base64.
    pub key: String,
    /// Header and claims, encoded, with the dot between.
    pub input: String,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("url", &self.url).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signing(***)")
    }
}

/// What a token endpoint gave. Its `Debug` shows no token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The access token.
    pub token: String,
    /// The refresh token to use from now on, where one came.
    pub refresh_token: Option<String>,
    /// How long the token works, seconds, where it was told.
    pub life_s: Option<u64>,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("life_s", &self.life_s).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The endpoint does not take the credential; with OAuth's code, where it gave one of those.
    Refused {
        /// HTTP status.
        status: u16,
        /// One of RFC 6749's, never the endpoint's own words: they may repeat what was sent.
        code: Option<String>,
    },
    /// It is not well, or asks for rest.
    Unwell {
        /// HTTP status.
        status: u16,
        /// When it says to ask again, milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It answers with something that has no token in it.
    Senseless,
    /// It answers with a redirect, which is not followed: a secret goes where the policy says, and nowhere else.
    Redirected,
    /// It took longer than [`EXCHANGE_MS`].
    Silent,
    /// It cannot be reached, or closed the connection.
    Unreachable,
    /// The private key does not sign.
    Key,
    /// Whoever was to fetch it has not reported.
    Lost,
    /// As `Redirected`, and the answer names this address: without query, and without what was sent.
    RedirectedTo {
        /// The address.
        to: String,
    },
}

impl Failure {
    /// The credential or the policy is at fault: asking again soon does not help.
    pub const fn is_lasting(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Redirected | Self::RedirectedTo { .. } | Self::Key)
    }

    /// It may pass by itself within a second: a refusal with another code than `invalid_client`, or a status of the 4xx that asks for
    /// rest. Two clients that exchange one refresh token at once are told `invalid_grant`, though the token is good.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code.as_deref() != Some("invalid_client"),
            Self::Unwell { status, .. } => (400..500).contains(status),
            _ => false,
        }
    }

    /// What happened, for the log: without advice, since whether it lasts is not known there.
    pub fn brief(&self, connection: &str) -> String {
        let of = format!("the token endpoint of connection {connection}");
        match self {
            Self::Refused { status, code } => {
                format!("{of} answered {status} {}", code.as_deref().unwrap_or("without a code of oauth's"))
            }
            _ => self.detail(connection),
        }
    }

    /// What happened and what to do where it happened for the first time and may pass by itself.
    pub fn detail_once(&self, connection: &str) -> String {
        format!("{}, once: it is asked again at once, so try again in a moment", self.brief(connection))
    }

    /// What happened and what to do, for a connection: one sentence without any secret.
    pub fn detail(&self, connection: &str) -> String {
        let of = format!("the token endpoint of connection {connection}");
        match self {
            Self::Refused { status, code: Some(code) } if code == "invalid_grant" => format!(
                "{of} takes the refresh token or the assertion no longer ({status} {code}): authorise anew and put the credential into the policy"
            ),
            Self::Refused { status, code: Some(code) } => {
                format!("{of} refuses the credential ({status} {code}): check it in the policy and at the vendor")
            }
            Self::Refused { status, code: None } => {
                format!("{of} refuses the request ({status}): check the credential and its token_url in the policy")
            }
            Self::Unwell { status, .. } => format!("{of} answered {status}, so there is no token: try again later"),
            Self::Senseless => {
                format!("{of} gave an answer without a token: check token_url, or base_url, in the policy")
            }
            Self::Redirected => {
                format!("{of} answered with a redirect, which is not followed: put the address itself into the policy")
            }
            Self::RedirectedTo { to } => format!(
                "{of} answered with a redirect to {to}, which is not followed: if that is where it is now, put this address into the policy"
            ),
            Self::Silent => format!("{of} did not answer within {} s: try again later", EXCHANGE_MS / 1_000),
            Self::Unreachable => {
                format!("{of} cannot be reached: check token_url, or base_url, in the policy, or try again later")
            }
            Self::Key => {
                format!("the private_key of connection {connection} does not sign: it must be an unencrypted RSA key")
            }
            Self::Lost => format!("no token came for connection {connection}: try again in a moment"),
        }
    }
}

/// Whether a token has to be fetched for this credential.
pub const fn is_fetched(credential: &Credential) -> bool {
    matches!(
        credential,
        Credential::ClientCredentials { .. } | Credential::RefreshToken { .. } | Credential::JwtBearer { .. }
    )
}

/// Where a token for this credential is fetched: at its own `token_url`, else at the profile's endpoint under `base_url`,
/// else, for an assertion, at its audience (RFC 7523, section 3: the endpoint's URL).
pub fn endpoint(credential: &Credential, profile: &Profile, base_url: &str) -> Option<String> {
    let own = match credential {
        Credential::ClientCredentials { token_url, .. } => token_url.clone(),
        Credential::RefreshToken { token_url, .. } => Some(token_url.clone()),
        Credential::JwtBearer { .. } => None,
        _ => return None,
    };
    let usual = || profile.token_endpoint.as_ref().map(|endpoint| format!("{base_url}{}", endpoint.path));
    own.or_else(usual).or_else(|| match credential {
        Credential::JwtBearer { audience, .. } => Some(audience.clone()),
        _ => None,
    })
}

/// The request for a token. `refresh_token`: the one that came last, in place of the policy's. `now`: Unix ms.
///
/// # Errors
/// If the private key is none, or the credential is not one that tokens are fetched for.
pub fn exchange(
    credential: &Credential,
    profile: &Profile,
    base_url: &str,
    refresh_token: Option<&str>,
    now: i64,
) -> Result<Exchange, Failure> {
    let url = endpoint(credential, profile, base_url).ok_or(Failure::Key)?;
    let mut request = Exchange { url, basic: None, form: String::new(), sign: None, timeout_ms: EXCHANGE_MS };
    let mut form = Vec::new();
    match credential {
        Credential::ClientCredentials { client_id, client_secret, scope, .. } => {
            form.push(("grant_type", "client_credentials"));
            request.authenticate(&mut form, profile, client_id, client_secret);
            form.extend(scope.as_deref().map(|scope| ("scope", scope)));
        }
        Credential::RefreshToken { client_id, client_secret, refresh_token: first, .. } => {
            form.push(("grant_type", "refresh_token"));
            form.push(("refresh_token", refresh_token.unwrap_or(first)));
            request.authenticate(&mut form, profile, client_id, client_secret);
        }
        Credential::JwtBearer { private_key, .. } => {
            form.push(("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"));
            let key = STANDARD.encode(pkcs8(private_key).ok_or(Failure::Key)?);
            request.sign = Some(Signing { key, input: assertion(credential, now).ok_or(Failure::Key)? });
        }
        _ => return Err(Failure::Key),
    }
    let fields: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    request.form = fields.join("&");
    Ok(request)
}

impl Exchange {
    /// The client's name and secret: in the form, unless the vendor wants Basic. Never both (RFC 6749, section 2.3).
    fn authenticate<'a>(
        &mut self,
        form: &mut Vec<(&'static str, &'a str)>,
        profile: &Profile,
        id: &'a str,
        secret: &'a str,
    ) {
        if profile.token_endpoint.as_ref().is_some_and(|endpoint| endpoint.basic) {
            self.basic = Some(STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))));
        } else {
            form.extend([("client_id", id), ("client_secret", secret)]);
        }
    }
}

/// Header and claims of an assertion, encoded.
fn assertion(credential: &Credential, now: i64) -> Option<String> {
    let Credential::JwtBearer { issuer, audience, subject, scope, .. } = credential else { return None };
    let issued = now.div_euclid(1_000);
    let claims = Claims {
        iss: issuer,
        aud: audience,
        iat: issued,
        exp: issued.saturating_add(ASSERTION_S),
        sub: subject.as_deref(),
        scope: scope.as_deref(),
    };
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    Some(format!("{}.{}", part(text(&json!({"alg": "RS256", "typ": "JWT"}))), part(text(&claims))))
}

/// The claims of an assertion (RFC 7523, section 3).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// What a token endpoint's answer says. `body` is at most [`LONGEST_ANSWER`] of it.
///
/// # Errors
/// Why there is no token in it.
pub fn read(status: u16, retry_after_ms: Option<u64>, body: &str) -> Result<Issued, Failure> {
    let said: Value = serde_json::from_str(body).unwrap_or_default();
    match status {
        200..=299 => {}
        300..=399 => return Err(Failure::Redirected),
        400..=499 if !matches!(status, 408 | 425 | 429) => return Err(Failure::Refused { status, code: code(&said) }),
        _ => return Err(Failure::Unwell { status, retry_after_ms }),
    }
    let text = |field: &str| said.get(field)?.as_str().map(str::to_owned);
    let fits = |token: &String| !token.is_empty() && token.len() <= LONGEST_TOKEN;
    // It goes into a header.
    let visible = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
    let Some(token) = text("access_token").filter(fits).filter(visible) else {
        // Some say no with status 200.
        return Err(match code(&said) {
            Some(code) => Failure::Refused { status, code: Some(code) },
            None => Failure::Senseless,
        });
    };
    let life = said.get("expires_in");
    let life_s = life.and_then(|life| life.as_u64().or_else(|| life.as_str()?.trim().parse().ok()));
    Ok(Issued { token, refresh_token: text("refresh_token").filter(fits), life_s })
}

/// The longest address that an error names, bytes.
const LONGEST_ADDRESS: usize = 200;

impl Exchange {
    /// Where a redirect of the token endpoint's leads, as an error may name it: no query and no fragment, in which vendors repeat what
    /// was sent; and nothing of that elsewhere.
    pub fn redirected(&self, location: &str) -> Failure {
        self.address(location.trim()).map_or(Failure::Redirected, |to| Failure::RedirectedTo { to })
    }

    fn address(&self, location: &str) -> Option<String> {
        let (scheme, after) = self.url.split_once("://")?;
        let host = after.split('/').next().unwrap_or_default();
        let whole = match location {
            _ if location.starts_with("//") => format!("{scheme}:{location}"),
            _ if location.starts_with('/') => format!("{scheme}://{host}{location}"),
            _ if location.starts_with("https://") || location.starts_with("http://") => location.to_owned(),
            _ => return None,
        };
        let address = whole.split(['?', '#']).next().unwrap_or_default();
        // A user name in it may be a secret.
        let plain =
            address.len() <= LONGEST_ADDRESS && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        let sent = self.form.split('&').filter_map(|field| Some(decoded(field.split_once('=')?.1.as_bytes())));
        let mask = Mask::new(sent.chain(self.basic.clone()), None);
        (plain && mask.text(address).is_none()).then(|| address.to_owned())
    }
}

/// OAuth's own codes (RFC 6749, section 5.2).
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

fn code(said: &Value) -> Option<String> {
    let code = said.get("error")?.as_str()?;
    CODES.contains(&code).then(|| code.to_owned())
}

/// How long a token works, milliseconds.
pub fn life_ms(issued: &Issued, profile: &Profile) -> i64 {
    let usual = profile.token_endpoint.as_ref().map_or(USUAL_LIFE_S, |endpoint| u64::from(endpoint.expires_in));
    let seconds = issued.life_s.unwrap_or(usual).min(LONGEST_LIFE_S);
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "grant/tests.rs"]
mod tests;
