//! The facts of a profile that depend on a call's route. Methods are given in the form that
//! [`methods`] writes: all that the call may have.

use super::{Batch, Profile, TokenEndpoint};
use crate::policy::Routes;
use crate::upstream::methods;

/// A request to a vendor's token endpoint that Sluice answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AboutToken {
    /// The client fetches a token.
    Issue,
    /// The client revokes a token.
    Revoke,
    /// The client asks about a token.
    Introspect,
}

impl Profile {
    /// Returns the largest body that the vendor takes on this call, bytes, or `None` where it has
    /// no limit. The path is as sent, without the query.
    pub fn body_limit(&self, methods: &str, path: &str) -> Option<u64> {
        let limit = self.bodies.iter().find(|limit| limit.routes.is_empty() || any(&limit.routes, methods, path));
        limit.map(|limit| limit.bytes)
    }

    /// Returns the bound on the records of this call, or `None` where there is none.
    pub fn batch_limit(&self, methods: &str, path: &str) -> Option<&Batch> {
        self.batches.iter().find(|batch| any(&batch.routes, methods, path))
    }

    /// Whether this call may be repeated whatever became of it. Every reading of its path must
    /// allow it, for every method that the vendor may read.
    pub fn is_repeatable(&self, methods: &str, path: &str) -> bool {
        let routes = Routes::of(&self.repeatable);
        methods::effective(methods).all(|method| {
            (self.safe_methods && matches!(method, "GET" | "HEAD" | "OPTIONS"))
                || (!self.repeatable.is_empty() && routes.allow(method, path))
        })
    }

    /// Returns what the call asks of the token endpoint, if it is a call to one.
    pub fn about_token(&self, method: &str, path: &str) -> Option<AboutToken> {
        let endpoint = self.token_endpoint.as_ref()?;
        if buys_token(endpoint, path) {
            return matches!(method, "GET" | "POST").then_some(AboutToken::Issue);
        }
        let is = |routes: &Vec<String>| !routes.is_empty() && Routes::of(routes).allow(method, path);
        if is(&endpoint.revoke) {
            Some(AboutToken::Revoke)
        } else if is(&endpoint.introspect) {
            Some(AboutToken::Introspect)
        } else {
            None
        }
    }
}

/// Whether a token is fetched at this path.
fn buys_token(endpoint: &TokenEndpoint, path: &str) -> bool {
    endpoint.path == path || (!endpoint.paths.is_empty() && Routes::of(&endpoint.paths).allow("POST", path))
}

fn any(routes: &[String], methods: &str, path: &str) -> bool {
    let routes = Routes::of(routes);
    methods::each(methods).any(|method| routes.matches(method, path))
}
