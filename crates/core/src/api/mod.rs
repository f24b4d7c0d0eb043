//! What is asked at Sluice's own addresses: which methods each knows, what a query says, and what follows on a tenant's reply.

pub mod admin;
pub mod figures;
pub mod files;
pub mod jobs;

use crate::refusal::{Reason, Refusal};

/// Checks that an address knows a method; `HEAD` comes with `GET`.
///
/// # Errors
/// If it does not: the refusal, and what `Allow` is to say beside it.
pub fn check_method(method: &str, known: &[&str]) -> Result<(), (Refusal, String)> {
    if known.contains(&method) || (method == "HEAD" && known.contains(&"GET")) {
        return Ok(());
    }
    let allowed = known.join(", ");
    Err((Refusal::new(Reason::Method, format!("this address knows {allowed} alone")), allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_comes_with_get_and_what_is_not_known_is_told() {
        assert_eq!(check_method("GET", &["GET"]), Ok(()));
        assert_eq!(check_method("HEAD", &["GET", "PUT"]), Ok(()));
        for (method, known) in [("HEAD", &["POST"][..]), ("PUT", &["GET", "DELETE"]), ("get", &["GET"])] {
            let (refusal, allow) = check_method(method, known).unwrap_err();
            assert_eq!((refusal.reason, allow), (Reason::Method, known.join(", ")), "{method}");
        }
    }
}
