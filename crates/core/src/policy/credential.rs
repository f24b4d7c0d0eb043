//! The credential of a connection, which replaces the caller's key on the way to the vendor.

use super::document::{Node, one_of};
use super::url;
use crate::document::Tree;
use crate::upstream::profile::names;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The text that stands for a stored secret, both in answers and in a policy that is sent back.
pub const MASK: &str = "***";

/// The credential that replaces the caller's key on the way to the vendor. `Debug` shows no secret.
/// The derived form is used in messages; in a document the type is a field beside the others: see
/// [`Credential::document`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The caller's own headers pass unchanged.
    Passthrough,
    /// A token in `Authorization: Bearer`.
    Bearer {
        /// The token.
        token: String,
    },
    /// A user name and password in `Authorization: Basic`.
    Basic {
        /// The user name, without a colon. With an empty password it is the secret.
        username: String,
        /// The password, which may be empty.
        password: String,
    },
    /// A header of the vendor's choice.
    Header {
        /// The header's name.
        name: String,
        /// The header's whole value.
        value: String,
    },
    /// A query parameter.
    Query {
        /// The parameter's name, not encoded.
        name: String,
        /// The parameter's value, not encoded.
        value: String,
    },
    /// OAuth 2 client credentials (RFC 6749, section 4.4).
    ClientCredentials {
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: String,
        /// The token endpoint, unless the profile knows it.
        token_url: Option<String>,
        /// The scope to ask for.
        scope: Option<String>,
    },
    /// An OAuth 2 refresh token (RFC 6749, section 6), which may be replaced at each use.
    RefreshToken {
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: String,
        /// The first refresh token.
        refresh_token: String,
        /// The token endpoint.
        token_url: String,
    },
    /// A signed assertion (RFC 7523): Google's service accounts, Salesforce's JWT bearer flow.
    JwtBearer {
        /// The claim `iss`.
        issuer: String,
        /// The signing key in PEM.
        private_key: String,
        /// The claim `aud`.
        audience: String,
        /// The claim `sub`.
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

/// The format of a credential's field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldFormat {
    /// Visible ASCII with spaces only inside, since it goes into a header.
    Header,
    /// The name of a header.
    HeaderName,
    /// Any text that is not empty.
    Text,
    /// Any text, which may be empty.
    MayBeEmpty,
    /// Any text without a colon, which may be empty.
    User,
    /// An https URL.
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

/// The types of credentials, and the fields of each.
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

/// The longest field, bytes. A private key may be twice as long (RSA 8192 in PEM: 6.4 kB).
const MAX_FIELD_BYTES: usize = 8_192;

/// The context in which a credential is read.
pub(super) struct CredentialContext<'a> {
    /// The connection's current credential, for whose secrets `"***"` may stand.
    pub previous: Option<&'a Credential>,
    /// Whether tokens and calls go to the hosts that `previous` was given for.
    pub same_hosts: bool,
    /// Whether the profile knows where tokens are fetched.
    pub token_endpoint: bool,
    /// Whether loopback addresses are allowed.
    pub allow_loopback: bool,
}

impl Credential {
    /// Returns the credential as a document has it: `type`, and beside it the fields that are set.
    /// Secrets pass through `shown` with their fields' names.
    pub(super) fn document(&self, mut shown: impl FnMut(&str, &str) -> String) -> Value {
        let (kind, fields) = self.fields();
        let mut document = Map::from_iter([("type".to_owned(), kind.into())]);
        for (name, text) in fields {
            let text = if self.is_secret(&name) { shown(&name, &text) } else { text };
            document.insert(name, text.into());
        }
        document.into()
    }

    /// Returns the type and the fields that are set. The derived form is `{type: {name: text}}`, or
    /// only the type if it has no fields.
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

    /// Makes a credential from its type and its fields, which were checked before; `None` if one is
    /// missing.
    fn of(kind: &str, fields: Map<String, Value>) -> Option<Self> {
        let fields = if fields_of(kind).is_empty() { Value::Null } else { fields.into() };
        serde_json::from_value(Map::from_iter([(kind.to_owned(), fields)]).into()).ok()
    }

    /// Reads what [`Self::document`] wrote.
    pub(super) fn written(node: &Tree) -> Option<Self> {
        let fields = node.as_object()?.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.into())));
        Self::of(node.get("type")?.as_str()?, fields.collect())
    }

    /// Whether the field of that name is a secret of this credential.
    fn is_secret(&self, name: &str) -> bool {
        match self {
            // With an empty password the user name is an API key.
            Self::Basic { password, .. } if password.is_empty() => name == "username",
            _ => fields_of(&self.fields().0).iter().any(|field| field.secret && field.name == name),
        }
    }

    /// Returns the stored text of a secret field, if the credential has that type.
    fn secret(&self, kind: &str, name: &str) -> Option<String> {
        let (own, fields) = self.fields();
        let (_, text) = fields.into_iter().find(|(field, _)| field == name)?;
        (own == kind && self.is_secret(name)).then_some(text)
    }

    /// Returns the client's id at the vendor, if the credential has one.
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
            return at.fault("a basic credential needs a username, a password or both");
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
                at.fault("the host of base_url or token_url has changed: send the secret itself instead of ***, so that the stored one does not go to another host by mistake")
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
    // An assertion is sent to its audience if the profile knows no token endpoint.
    let form = if field.name == "audience" && !around.token_endpoint { FieldFormat::Url } else { field.form };
    match form {
        FieldFormat::Header if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.trim() != text => {
            at.fault("must be visible ASCII characters without a space at either end, since it goes into a header")
        }
        FieldFormat::HeaderName => check_header_name(at, text),
        FieldFormat::User if text.contains(':') => at.fault("a user name must not contain a colon: Basic authentication ends it there"),
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
        return at.fault(format!(
            "must be a header for credentials, not {reserved}, nor one that belongs to Sluice or a proxy"
        ));
    }
    Some(text.to_owned())
}

/// Whether a text has the frame of an unencrypted private key, with real line ends rather than the
/// letters `
/// `. Whether the key inside is valid shows when it is first used.
fn is_pem(text: &str) -> bool {
    ["PRIVATE KEY", "RSA PRIVATE KEY"].iter().any(|kind| {
        let body = text.trim().strip_prefix(&format!("-----BEGIN {kind}-----"));
        let body = body.and_then(|body| body.strip_suffix(&format!("-----END {kind}-----")));
        body.is_some_and(|body| !body.trim().is_empty() && !body.contains('\\'))
    })
}
