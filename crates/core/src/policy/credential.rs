//! What is put in the key's place on the way to the vendor.

use super::document::{Node, one_of};
use super::url;
use crate::document::Tree;
use crate::upstream::profile::names;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What stands for a stored secret, in what Sluice shows and in what it is sent back.
pub const MASK: &str = "***";

/// What is put in the key's place on the way to the vendor. Its `Debug` shows no secret. The derived form serves messages; in a
/// document the type is a field beside the others: see [`Credential::document`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The caller's own headers go through untouched.
    Passthrough,
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        token: String,
    },
    /// `Authorization: Basic`.
    Basic {
        /// Without a colon; with an empty password it is the secret.
        username: String,
        /// May be empty.
        password: String,
    },
    /// A header of the vendor's own.
    Header {
        /// Its name.
        name: String,
        /// Its whole value.
        value: String,
    },
    /// A query parameter.
    Query {
        /// Its name, not yet encoded.
        name: String,
        /// Its value, not yet encoded.
        value: String,
    },
    /// OAuth 2 client credentials (RFC 6749, 4.4).
    ClientCredentials {
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: String,
        /// The token endpoint, unless the profile knows it.
        token_url: Option<String>,
        /// The scope to ask for.
        scope: Option<String>,
    },
    /// An OAuth 2 refresh token (RFC 6749, 6), which may be replaced at each use.
    RefreshToken {
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: String,
        /// The token to begin with.
        refresh_token: String,
        /// The token endpoint.
        token_url: String,
    },
    /// A signed assertion (RFC 7523): Google's service accounts, Salesforce's JWT bearer flow.
    JwtBearer {
        /// `iss`.
        issuer: String,
        /// The signing key, PEM.
        private_key: String,
        /// `aud`.
        audience: String,
        /// `sub`.
        subject: Option<String>,
        /// The scope to ask for.
        scope: Option<String>,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(***)")
    }
}

/// What a field may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldFormat {
    /// Visible ASCII and inner spaces: it goes into a header.
    Header,
    /// A header's name.
    HeaderName,
    /// Any text.
    Text,
    /// Any text, or none.
    MayBeEmpty,
    /// The same, without a colon.
    User,
    /// A URL.
    Url,
    /// A private key in PEM.
    Pem,
}

struct Field {
    name: &'static str,
    form: FieldFormat,
    required: bool,
    secret: bool,
}

const fn plain(name: &'static str, form: FieldFormat) -> Field {
    Field { name, form, required: true, secret: false }
}

const fn secret(name: &'static str, form: FieldFormat) -> Field {
    Field { name, form, required: true, secret: true }
}

const fn optional(name: &'static str, form: FieldFormat) -> Field {
    Field { name, form, required: false, secret: false }
}

/// The types and their fields.
const TYPES: [(&str, &[Field]); 8] = [
    ("passthrough", &[]),
    ("bearer", &[secret("token", FieldFormat::Header)]),
    ("basic", &[plain("username", FieldFormat::User), secret("password", FieldFormat::MayBeEmpty)]),
    ("header", &[plain("name", FieldFormat::HeaderName), secret("value", FieldFormat::Header)]),
    ("query", &[plain("name", FieldFormat::Text), secret("value", FieldFormat::Text)]),
    (
        "client_credentials",
        &[
            plain("client_id", FieldFormat::Text),
            secret("client_secret", FieldFormat::Text),
            optional("token_url", FieldFormat::Url),
            optional("scope", FieldFormat::Text),
        ],
    ),
    (
        "refresh_token",
        &[
            plain("client_id", FieldFormat::Text),
            secret("client_secret", FieldFormat::Text),
            secret("refresh_token", FieldFormat::Text),
            plain("token_url", FieldFormat::Url),
        ],
    ),
    (
        "jwt_bearer",
        &[
            plain("issuer", FieldFormat::Text),
            secret("private_key", FieldFormat::Pem),
            plain("audience", FieldFormat::Text),
            optional("subject", FieldFormat::Text),
            optional("scope", FieldFormat::Text),
        ],
    ),
];

/// Most bytes of a field; a private key (RSA 8192 in PEM: 6.4 kB) may have twice as many.
const MAX_FIELD_BYTES: usize = 8_192;

/// What a credential is read against.
pub(super) struct CredentialContext<'a> {
    /// The connection's credential so far, where `"***"` may stand for its secrets.
    pub previous: Option<&'a Credential>,
    /// The tokens' and calls' hosts are those to which `previous` was given.
    pub same_hosts: bool,
    /// The profile knows where tokens are fetched.
    pub token_endpoint: bool,
    /// Loopback addresses are let through.
    pub allow_loopback: bool,
}

impl Credential {
    /// As a document has it: `type`, and beside it the fields that are there. Its secrets pass through `shown`, with their
    /// fields' names.
    pub(super) fn document(&self, mut shown: impl FnMut(&str, &str) -> String) -> Value {
        let (kind, fields) = self.fields();
        let mut document = Map::from_iter([("type".to_owned(), kind.into())]);
        for (name, text) in fields {
            let text = if self.is_secret(&name) { shown(&name, &text) } else { text };
            document.insert(name, text.into());
        }
        document.into()
    }

    /// Its type, and the fields that are there: `{type: {name: text}}` is the derived form, and of one without fields the type
    /// alone.
    fn fields(&self) -> (String, Vec<(String, String)>) {
        let (kind, fields) = match serde_json::to_value(self) {
            Ok(Value::Object(whole)) => whole.into_iter().next().unwrap_or_default(),
            Ok(Value::String(kind)) => (kind, Value::Null),
            _ => <(String, Value)>::default(),
        };
        let Value::Object(fields) = fields else { return (kind, Vec::new()) };
        let there = |(name, field)| match field {
            Value::String(text) => Some((name, text)),
            _ => None,
        };
        (kind, fields.into_iter().filter_map(there).collect())
    }

    /// From its type and fields, already checked. None if one is missing.
    fn of(kind: &str, fields: Map<String, Value>) -> Option<Self> {
        let fields = if fields_of(kind).is_empty() { Value::Null } else { fields.into() };
        serde_json::from_value(Map::from_iter([(kind.to_owned(), fields)]).into()).ok()
    }

    /// From what [`Self::document`] wrote.
    pub(super) fn written(node: &Tree) -> Option<Self> {
        let fields = node.as_object()?.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.into())));
        Self::of(node.get("type")?.as_str()?, fields.collect())
    }

    /// Whether the field of that name is secret here.
    fn is_secret(&self, name: &str) -> bool {
        match self {
            // An API key as user name, beside an empty password.
            Self::Basic { password, .. } if password.is_empty() => name == "username",
            _ => fields_of(&self.fields().0).iter().any(|field| field.secret && field.name == name),
        }
    }

    /// The stored text of a secret field, if this is a credential of that type.
    fn secret(&self, kind: &str, name: &str) -> Option<String> {
        let (own, fields) = self.fields();
        let (_, text) = fields.into_iter().find(|(field, _)| field == name)?;
        (own == kind && self.is_secret(name)).then_some(text)
    }

    /// The client that the vendor knows it by, where it has one.
    pub(super) fn client_id(&self) -> Option<&str> {
        match self {
            Self::ClientCredentials { client_id, .. } | Self::RefreshToken { client_id, .. } => Some(client_id),
            _ => None,
        }
    }

    pub(super) fn token_url(&self) -> Option<&str> {
        match self {
            Self::ClientCredentials { token_url, .. } => token_url.as_deref(),
            Self::RefreshToken { token_url, .. } => Some(token_url),
            _ => None,
        }
    }

    pub(super) fn read(at: &Node<'_>, around: &CredentialContext<'_>) -> Option<Self> {
        let fields = at.fields()?;
        let words = TYPES.each_ref().map(|(name, _)| (*name, *name));
        let kind = fields.required("type")?.word(&words)?;
        let known: Vec<&str> = ["type"].into_iter().chain(fields_of(kind).iter().map(|field| field.name)).collect();
        fields.only(&known);
        let mut values = Map::new();
        let mut whole = true;
        for field in fields_of(kind) {
            let required = field.required || field.name == "token_url" && !around.token_endpoint;
            let found = if required { fields.required(field.name) } else { fields.get(field.name) };
            match found.as_ref().map(|at| read_field(at, kind, field, around)) {
                Some(Some(text)) => drop(values.insert(field.name.to_owned(), text.into())),
                Some(None) => whole = false,
                None => whole &= !required,
            }
        }
        let credential = whole.then(|| Self::of(kind, values))??;
        if matches!(&credential, Self::Basic { username, password } if username.is_empty() && password.is_empty()) {
            return at.fault("a basic credential has a username, a password, or both");
        }
        Some(credential)
    }
}

fn fields_of(kind: &str) -> &'static [Field] {
    TYPES.iter().find(|(name, _)| *name == kind).map_or(&[], |(_, fields)| fields)
}

fn read_field(at: &Node<'_>, kind: &str, field: &Field, around: &CredentialContext<'_>) -> Option<String> {
    if matches!(at.node, Tree::String(text) if text == MASK) && (field.secret || field.form == FieldFormat::User) {
        let stored = around.previous.and_then(|previous| previous.secret(kind, field.name));
        return match stored {
            Some(_) if !around.same_hosts => {
                at.fault("the host of base_url or token_url has changed: send the secret itself, so that it goes nowhere unmeant")
            }
            Some(secret) => Some(secret),
            None => at.fault("there is no stored secret for *** to keep; send the secret itself"),
        };
    }
    let text = if field.form == FieldFormat::Pem { at.lines(2 * MAX_FIELD_BYTES) } else { at.text(MAX_FIELD_BYTES) }?;
    let may_be_empty = matches!(field.form, FieldFormat::MayBeEmpty | FieldFormat::User);
    if text.is_empty() && !may_be_empty {
        return at.fault("must not be empty");
    }
    // An assertion goes to its audience where the profile knows no other place for it.
    let form = if field.name == "audience" && !around.token_endpoint { FieldFormat::Url } else { field.form };
    match form {
        FieldFormat::Header if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.trim() != text => {
            at.fault("goes into a header: visible ASCII characters only, no space at either end")
        }
        FieldFormat::HeaderName => check_header_name(at, text),
        FieldFormat::User if text.contains(':') => at.fault("a user name has no colon: Basic authentication ends it there"),
        FieldFormat::Url => match url::check(text, around.allow_loopback) {
            Ok(_) => Some(text.to_owned()),
            Err(detail) => at.fault(detail),
        },
        FieldFormat::Pem if !is_pem(text) => {
            at.fault("must be an unencrypted private key in PEM, from -----BEGIN PRIVATE KEY----- to its END, with real line ends")
        }
        _ => Some(text.to_owned()),
    }
}

fn check_header_name(at: &Node<'_>, text: &str) -> Option<String> {
    if !names::is_header_name(text) {
        return at.fault("must be the name of a header: up to 128 letters, digits and -");
    }
    if names::is_reserved(text) {
        let reserved = one_of(names::RESERVED.into_iter());
        return at
            .fault(format!("must be a header for credentials, not {reserved}, nor one of Sluice's or a proxy's own"));
    }
    Some(text.to_owned())
}

/// The frame of an unencrypted private key, with lines and not the letters `\n` between; what is inside shows when it is first used.
fn is_pem(text: &str) -> bool {
    ["PRIVATE KEY", "RSA PRIVATE KEY"].iter().any(|kind| {
        let body = text.trim().strip_prefix(&format!("-----BEGIN {kind}-----"));
        let body = body.and_then(|body| body.strip_suffix(&format!("-----END {kind}-----")));
        body.is_some_and(|body| !body.trim().is_empty() && !body.contains('\\'))
    })
}
