//! The OAuth client: makes the token requests for a connection's own credential and reads their
//! answers. Token endpoints have no limits of the vendor's (Marketo says so outright), so none of
//! this is counted.

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

/// The time limit of a token request from send to last byte, milliseconds. Token endpoints usually
/// answer within some hundred.
pub const EXCHANGE_MS: u64 = 10_000;

/// The most that is read of a token endpoint's answer, bytes.
pub const LONGEST_ANSWER: usize = 64 * 1024;

/// The longest token that is accepted, bytes: as much as servers accept in one header.
const LONGEST_TOKEN: usize = 8 * 1024;

/// How long a token is used whose answer gives no `expires_in`, seconds, unless the profile knows
/// better.
const USUAL_LIFE_S: u64 = 3_600;

/// The longest `expires_in` that is believed, seconds: a year.
const LONGEST_LIFE_S: u64 = 31_536_000;

/// How long an assertion is valid, seconds. Salesforce accepts 3 minutes at most.
const ASSERTION_S: i64 = 120;

/// A request for an access token: a form that is posted. `Debug` shows only the URL.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The token endpoint.
    pub url: String,
    /// Client id and secret in the form that Basic authentication sends, where the vendor wants
    /// them there.
    pub basic: Option<String>,
    /// The form, percent-encoded.
    pub form: String,
    /// What must be signed and added to the form as `assertion`.
    pub sign: Option<Signing>,
    /// The time limit from send to last byte, milliseconds.
    pub timeout_ms: u64,
}

/// An assertion that is not signed yet (RS256).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The private key: PKCS #8 in base64.
    pub key: String,
    /// Header and claims, each encoded, with the dot between them.
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

/// What a token endpoint issued. `Debug` shows no token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The access token.
    pub token: String,
    /// The refresh token to use from now on, where the answer had one.
    pub refresh_token: Option<String>,
    /// How long the token works, seconds, where the answer says so.
    pub life_s: Option<u64>,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("life_s", &self.life_s).finish_non_exhaustive()
    }
}

/// Why no token could be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The endpoint does not accept the credential. It may have given one of OAuth's codes.
    Refused {
        /// HTTP status.
        status: u16,
        /// One of RFC 6749's codes. The endpoint's own words are never kept, as they may repeat
        /// what was sent.
        code: Option<String>,
    },
    /// The endpoint failed or asks to be left alone for a while.
    Unwell {
        /// HTTP status.
        status: u16,
        /// When it allows another request, milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The answer has no token in it.
    Senseless,
    /// The answer is a redirect. It is not followed: a secret goes where the policy says, and
    /// nowhere else.
    Redirected,
    /// The endpoint took longer than [`EXCHANGE_MS`].
    Silent,
    /// The endpoint cannot be reached, or closed the connection.
    Unreachable,
    /// The private key cannot sign.
    Key,
    /// The Worker that was to fetch the token has not reported.
    Lost,
    /// The answer is a redirect to this address, which is shown without its query and without what
    /// was sent.
    RedirectedTo {
        /// The address.
        to: String,
    },
}

impl Failure {
    /// Whether the credential or the policy is at fault, so that asking again soon does not help.
    pub const fn is_lasting(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Redirected | Self::RedirectedTo { .. } | Self::Key)
    }

    /// Whether the failure may pass by itself within a second: it is a refusal with another code
    /// than `invalid_client`, or a 4xx status that asks to wait. When two clients exchange one
    /// refresh token at the same time, one gets `invalid_grant` though the token is good.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code.as_deref() != Some("invalid_client"),
            Self::Unwell { status, .. } => (400..500).contains(status),
            _ => false,
        }
    }

    /// Says what happened, for the log. It gives no advice, since the log does not know whether the
    /// failure lasts.
    pub fn brief(&self, connection: &str) -> String {
        let of = format!("the token endpoint of connection {connection}");
        match self {
            Self::Refused { status, code } => {
                format!("{of} answered {status} {}", code.as_deref().unwrap_or("without an OAuth error code"))
            }
            _ => self.detail(connection),
        }
    }

    /// Says what happened and what to do, for a first failure that may pass by itself.
    pub fn detail_once(&self, connection: &str) -> String {
        format!("{}; Sluice asks it again at once, so try again in a moment", self.brief(connection))
    }

    /// Says in one sentence what happened and what to do, without any secret.
    pub fn detail(&self, connection: &str) -> String {
        let of = format!("the token endpoint of connection {connection}");
        match self {
            Self::Refused { status, code: Some(code) } if code == "invalid_grant" => format!(
                "{of} no longer accepts the refresh token or the assertion ({status} {code}): authorise again and put the new credential into the policy"
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
            Self::Lost => format!("no token was fetched in time for connection {connection}: try again in a moment"),
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

/// Returns the address at which a token for this credential is fetched: its own `token_url`, else
/// the profile's endpoint under `base_url`, else, for an assertion, its audience (RFC 7523, section
/// 3: the endpoint's URL).
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

/// Makes the request for a token. `refresh_token` is the latest one, which replaces the policy's.
/// `now`: Unix ms.
///
/// # Errors
/// It fails with [`Failure::Key`] if the private key cannot be read, or if no token is fetched for
/// such a credential.
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
    /// Adds the client's id and secret to the form, or as Basic authentication where the vendor
    /// wants that. It never does both (RFC 6749, section 2.3).
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

/// Returns header and claims of an assertion, encoded.
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

/// Reads the answer of a token endpoint. `body` is at most [`LONGEST_ANSWER`] bytes of it.
///
/// # Errors
/// It fails with the reason why the answer has no token.
pub fn read(status: u16, retry_after_ms: Option<u64>, body: &str) -> Result<Issued, Failure> {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    match status {
        200..=299 => {}
        300..=399 => return Err(Failure::Redirected),
        400..=499 if !matches!(status, 408 | 425 | 429) => {
            return Err(Failure::Refused { status, code: code(&answer) });
        }
        _ => return Err(Failure::Unwell { status, retry_after_ms }),
    }
    let text = |field: &str| answer.get(field)?.as_str().map(str::to_owned);
    let fits = |token: &String| !token.is_empty() && token.len() <= LONGEST_TOKEN;
    // The token goes into a header.
    let visible = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
    let Some(token) = text("access_token").filter(fits).filter(visible) else {
        // Some endpoints refuse with status 200.
        return Err(match code(&answer) {
            Some(code) => Failure::Refused { status, code: Some(code) },
            None => Failure::Senseless,
        });
    };
    let life = answer.get("expires_in");
    let life_s = life.and_then(|life| life.as_u64().or_else(|| life.as_str()?.trim().parse().ok()));
    Ok(Issued { token, refresh_token: text("refresh_token").filter(fits), life_s })
}

/// The longest address that is named in an error, bytes.
const LONGEST_ADDRESS: usize = 200;

impl Exchange {
    /// Returns the failure for a redirect to `location`. An address without its query and fragment,
    /// in which vendors repeat what was sent, is named if the rest of it repeats nothing of that
    /// either.
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
        // A user name in the address may be a secret.
        let plain =
            address.len() <= LONGEST_ADDRESS && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        let sent = self.form.split('&').filter_map(|field| Some(decoded(field.split_once('=')?.1.as_bytes())));
        let mask = Mask::new(sent.chain(self.basic.clone()), None);
        (plain && mask.text(address).is_none()).then(|| address.to_owned())
    }
}

/// OAuth's own error codes (RFC 6749, section 5.2).
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

fn code(answer: &Value) -> Option<String> {
    let code = answer.get("error")?.as_str()?;
    CODES.contains(&code).then(|| code.to_owned())
}

/// Returns how long a token works, milliseconds.
pub fn life_ms(issued: &Issued, profile: &Profile) -> i64 {
    let usual = profile.token_endpoint.as_ref().map_or(USUAL_LIFE_S, |endpoint| u64::from(endpoint.expires_in));
    let seconds = issued.life_s.unwrap_or(usual).min(LONGEST_LIFE_S);
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "grant/tests.rs"]
mod tests;
