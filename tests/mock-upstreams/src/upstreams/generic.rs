//! A vendor of no special kind: it takes 100 calls in any 10 s, and refuses others with 429 and
//! `Retry-After`.

use super::{Dialect, bearer, invalid_client, oauth_token, plain, retry_seconds};
use crate::gate::Refusal;
use crate::limit::{Kind, Limit};
use crate::wire::Answer;
use serde_json::json;

pub(super) const GENERIC: Dialect = Dialect {
    name: "generic",
    limits: || vec![Limit::new("rate", Kind::window(100, 10))],
    answer: |_| None,
    refusal,
    decorate: plain,
    credential: bearer,
    unauthorized: || Answer::json(401, &json!({"error": "unauthorized"})),
    token_path: Some("/oauth/token"),
    token: oauth_token,
    token_refused: invalid_client,
};

fn refusal(refusal: &Refusal) -> Answer {
    Answer::json(429, &json!({"error": "too many requests", "limit": refusal.limit.name}))
        .with("Retry-After", &retry_seconds(refusal).to_string())
}
