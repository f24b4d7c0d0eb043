//! What tells one token, and one credential, from another: digests, which are stored or sent in
//! their place.

use crate::policy::Credential;
use crate::protocol::TokenMark;
use sha2::{Digest, Sha256};

/// The mark of a token, which tells it from the next one and is of no use otherwise.
pub fn mark(token: &str) -> TokenMark {
    TokenMark(digest(&[token.as_bytes()]))
}

/// A digest of several texts.
pub(super) fn digest(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().first_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1)
}

/// The parts that make a credential the one it is. Their digest is stored, and with another digest
/// a rotated refresh token would be lost: so they stay as they are, whatever becomes of the type.
pub(super) fn parts(credential: &Credential) -> Option<Vec<&str>> {
    Some(match credential {
        Credential::ClientCredentials { client_id, client_secret, scope, .. } => {
            vec!["client_credentials", client_id, client_secret, scope.as_deref().unwrap_or_default()]
        }
        Credential::RefreshToken { client_id, client_secret, refresh_token, .. } => {
            vec!["refresh_token", client_id, client_secret, refresh_token]
        }
        Credential::JwtBearer { issuer, private_key, audience, subject, scope } => vec![
            "jwt_bearer",
            issuer,
            private_key,
            audience,
            subject.as_deref().unwrap_or_default(),
            scope.as_deref().unwrap_or_default(),
        ],
        _ => return None,
    })
}
