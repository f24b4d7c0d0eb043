//! Aprimo: 15 calls a second for a tenant. The real one delays the next 100 (a `queue` of 100 in
//! the limit); the strict default here refuses them. The shape of its 429 is not published; its API
//! answers other errors as OData does.

use super::{Dialect, Request, bearer, invalid_client, oauth_token, plain};
use crate::limit::{Kind, Limit};
use crate::wire::Answer;
use serde_json::json;

pub(super) const APRIMO: Dialect = Dialect {
    name: "aprimo",
    limits: || vec![Limit::new("rate", Kind::LeakyBucket { per_second: 15, burst: 15, queue: 0 })],
    answer,
    refusal: |_| Answer::json(429, &json!({"error": {"code": "429", "message": "Too many requests."}})),
    decorate: plain,
    credential: bearer,
    unauthorized: || {
        Answer::json(401, &json!({"error": {"code": "401", "message": "Unauthorized"}}))
            .with("WWW-Authenticate", "Bearer")
    },
    token_path: Some("/login/connect/token"),
    token: oauth_token,
    token_refused: invalid_client,
};

fn answer(request: &Request) -> Option<Answer> {
    let path = request.head.path();
    if request.is("GET", "/api/core/records") {
        let size = request.head.number("pageSize").unwrap_or(50).min(1000);
        let items: Vec<_> =
            (1..=size.min(3)).map(|n| json!({"id": format!("{n:032x}"), "status": "released"})).collect();
        return Some(Answer::json(
            200,
            &json!({"page": 1, "pageSize": size, "totalCount": items.len(), "items": items}),
        ));
    }
    if request.is("POST", "/api/core/records") {
        let id = format!("{:032x}", request.number);
        return Some(Answer::json(201, &json!({"id": id})).with("Location", &format!("{path}/{id}")));
    }
    if let Some(id) = path.strip_prefix("/api/core/record/") {
        return Some(match request.head.method.as_str() {
            "PUT" | "DELETE" => Answer::empty(204),
            _ => Answer::json(200, &json!({"id": id, "status": "released", "contentType": "Asset"})),
        });
    }
    None
}
