//! What a profile says of a call by its route. Methods come as [`methods`] writes them: all that the call may have.

use super::{Batch, Profile, TokenEndpoint};
use crate::policy::Routes;
use crate::upstream::methods;

/// What Sluice answers itself of a vendor's token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AboutToken {
    /// A token is bought.
    Issue,
    /// A token is given back.
    Revoke,
    /// A token is asked about.
    Introspect,
}

impl Profile {
    /// The largest body it takes on this call, bytes; none where it has no limit. The path as sent, without the query.
    pub fn body_limit(&self, methods: &str, path: &str) -> Option<u64> {
        let limit = self.bodies.iter().find(|limit| limit.routes.is_empty() || any(&limit.routes, methods, path));
        limit.map(|limit| limit.bytes)
    }

    /// What bounds the records of this call; none where nothing does.
    pub fn batch_limit(&self, methods: &str, path: &str) -> Option<&Batch> {
        self.batches.iter().find(|batch| any(&batch.routes, methods, path))
    }

    /// Whether this call may be made again whatever became of it: only if every reading of its path says so, and of every
    /// method that its vendor may read.
    pub fn is_repeatable(&self, methods: &str, path: &str) -> bool {
        let routes = Routes::of(&self.repeatable);
        methods::effective(methods).all(|method| {
            (self.safe_methods && matches!(method, "GET" | "HEAD" | "OPTIONS"))
                || (!self.repeatable.is_empty() && routes.allow(method, path))
        })
    }

    /// What of the token endpoint this call asks for, if it does.
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

/// Whether a token is bought at this path.
fn buys_token(endpoint: &TokenEndpoint, path: &str) -> bool {
    endpoint.path == path || (!endpoint.paths.is_empty() && Routes::of(&endpoint.paths).allow("POST", path))
}

fn any(routes: &[String], methods: &str, path: &str) -> bool {
    let routes = Routes::of(routes);
    methods::each(methods).any(|method| routes.matches(method, path))
}
