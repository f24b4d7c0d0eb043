//! Delivering a message: posted once, to where the tenant's object says, and reported. The object
//! decides what comes of it.

use crate::config::Config;
use crate::platform;
use crate::tasks::fetch_token::{post, report};
use serde_json::json;
use sluice_core::protocol::{Ask, DeliveryReport};
use sluice_core::tenant::task::Delivery;
use sluice_core::upstream::posted::Delivered;
use sluice_core::webhooks::TIMEOUT_MS;

/// Posts a message and reports what came of it. A redirect is not followed, and no body is read.
pub async fn deliver(config: &Config, delivery: Delivery) {
    let Delivery { tenant, id, attempt, url, seconds, signature, body } = delivery;
    let seconds = seconds.to_string();
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("User-Agent", "Sluice"),
        ("webhook-id", id.as_str()),
        ("webhook-timestamp", seconds.as_str()),
    ];
    headers.extend(signature.as_deref().map(|signature| ("webhook-signature", signature)));
    let posted = post(&url, &headers, &body, 0, TIMEOUT_MS.into()).await;
    let delivered = posted.delivered(platform::now());
    let Delivered { outcome, retry_after_ms } = delivered;
    if !delivered.is_taken() {
        // Not where to: a secret may be in it.
        let line = json!({"level": "warn", "tenant": tenant, "callback": id, "attempt": attempt,
            "status": outcome.status().unwrap_or(0), "error": outcome.status().is_none().then(|| outcome.error())});
        platform::log(&line);
    }
    let ask = Ask::DeliveryReport(DeliveryReport { id, attempt, outcome, retry_after_ms });
    if !report(config, &tenant, &ask).await {
        let line = serde_json::json!({"level": "error", "tenant": tenant,
            "fault": "a callback was sent, and the tenant's object could not be told what came of it; it is sent again"});
        platform::log(&line);
    }
}
