//! What comes of a text that is posted: a form to a token endpoint, or a message to a webhook's receiver.

use super::grant::{Exchange, Failure, Issued, read};
use crate::http::retry_after_ms;
use crate::protocol::DeliveryOutcome;

/// The end of something that was posted. It is never shown: a token may be in it.
pub enum Posted {
    /// An answer came.
    Answered(PostedAnswer),
    /// None came in time.
    TimedOut,
    /// The receiver cannot be reached, or has closed the connection.
    Unreachable,
}

/// What is read of an answer. A field that it does not have is empty.
#[derive(Default)]
pub struct PostedAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` field.
    pub retry_after: String,
    /// The `Date` field.
    pub date: String,
    /// The `Location` field.
    pub location: String,
    /// The body; empty if it is longer than was to be read.
    pub body: String,
}

/// What a message's receiver made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// How the attempt ended.
    pub outcome: DeliveryOutcome,
    /// When the receiver says to try again, milliseconds from its answer.
    pub retry_after_ms: Option<u64>,
}

impl Delivered {
    /// Whether the receiver has taken the message.
    pub const fn is_taken(&self) -> bool {
        matches!(self.outcome, DeliveryOutcome::Answered(200..=299))
    }
}

impl PostedAnswer {
    /// How long the receiver wants to be left alone, milliseconds. `now`: when the answer came, Unix ms.
    fn retry_after_ms(&self, now: i64) -> Option<u64> {
        retry_after_ms(&self.retry_after, Some(&self.date), now)
    }
}

impl Posted {
    /// The access token that an exchange has brought. `now`: when its answer came, Unix ms.
    ///
    /// # Errors
    /// Why there is none. A redirect is not followed: a secret goes where the policy says, and nowhere else.
    pub fn issued(&self, exchange: &Exchange, now: i64) -> Result<Issued, Failure> {
        match self {
            Self::TimedOut => Err(Failure::Silent),
            Self::Unreachable => Err(Failure::Unreachable),
            Self::Answered(PostedAnswer { status: 300..=399, location, .. }) => Err(exchange.redirected(location)),
            Self::Answered(answer) => read(answer.status, answer.retry_after_ms(now), &answer.body),
        }
    }

    /// What the receiver made of a message. `now`: when its answer came, Unix ms.
    pub fn delivered(&self, now: i64) -> Delivered {
        match self {
            Self::TimedOut => Delivered { outcome: DeliveryOutcome::TimedOut, retry_after_ms: None },
            Self::Unreachable => Delivered { outcome: DeliveryOutcome::Unreachable, retry_after_ms: None },
            Self::Answered(answer) => Delivered {
                outcome: DeliveryOutcome::Answered(answer.status),
                retry_after_ms: answer.retry_after_ms(now),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_781_524_800_000;

    fn answered(status: u16, retry_after: &str, location: &str, body: &str) -> Posted {
        let (retry_after, location, body) = (retry_after.to_owned(), location.to_owned(), body.to_owned());
        Posted::Answered(PostedAnswer { status, retry_after, date: String::new(), location, body })
    }

    fn exchange() -> Exchange {
        Exchange {
            url: "https://vendor.example/token".to_owned(),
            form: "grant_type=client_credentials&client_secret=of-the-test".to_owned(),
            basic: None,
            sign: None,
            timeout_ms: 1_000,
        }
    }

    #[test]
    fn an_exchange_brings_a_token_or_says_why_not() {
        let of = |posted: &Posted| posted.issued(&exchange(), NOW);
        let issued = of(&answered(200, "", "", r#"{"access_token": "t", "expires_in": 60}"#)).unwrap();
        assert_eq!((issued.token.as_str(), issued.life_s), ("t", Some(60)));
        assert_eq!(of(&Posted::TimedOut).unwrap_err(), Failure::Silent);
        assert_eq!(of(&Posted::Unreachable).unwrap_err(), Failure::Unreachable);
        assert_eq!(
            of(&answered(503, "7", "", "")).unwrap_err(),
            Failure::Unwell { status: 503, retry_after_ms: Some(7_000) }
        );
        assert!(matches!(
            of(&answered(400, "", "", r#"{"error": "invalid_grant"}"#)),
            Err(Failure::Refused { status: 400, .. })
        ));
    }

    #[test]
    fn a_redirect_is_a_failure_whatever_its_body_says() {
        let token = r#"{"access_token": "t"}"#;
        for status in [301, 302, 307, 308] {
            let to = answered(status, "", "https://elsewhere.example/token", token).issued(&exchange(), NOW);
            assert!(matches!(to, Err(Failure::RedirectedTo { .. } | Failure::Redirected)), "{status}: {to:?}");
        }
    }

    #[test]
    fn a_message_is_taken_with_a_2xx_alone() {
        for (status, taken) in
            [(199, false), (200, true), (204, true), (299, true), (300, false), (410, false), (500, false)]
        {
            let delivered = answered(status, "", "", "").delivered(NOW);
            assert_eq!((delivered.outcome, delivered.is_taken()), (DeliveryOutcome::Answered(status), taken));
        }
        for (posted, outcome) in
            [(Posted::TimedOut, DeliveryOutcome::TimedOut), (Posted::Unreachable, DeliveryOutcome::Unreachable)]
        {
            let delivered = posted.delivered(NOW);
            assert_eq!((delivered.outcome, delivered.is_taken()), (outcome, false));
        }
        assert_eq!(answered(429, "30", "", "").delivered(NOW).retry_after_ms, Some(30_000));
    }
}
