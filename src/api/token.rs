//! Answers a vendor's token endpoint: the key comes as `client_secret` and goes back as the token,
//! so that a client which insists on the exchange works unchanged. Requests about such a token are
//! answered too. Nothing is counted, and nothing is sent to the vendor.

use crate::call::context::CallEnd;
use crate::call::inspect::{About, Seen};
use crate::tenant_client;
use sluice_core::call::arrival::check_role;
use sluice_core::http::{Answer, Target, VendorTarget};
use sluice_core::protocol::{Ask, Reply};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::Dialect;
use sluice_core::upstream::dialect::{self, Saying};
use sluice_core::upstream::places::misplaced;
use sluice_core::upstream::profile::AboutToken;
use sluice_core::upstream::token::{Issued, TokenRequest, introspected, issued, read, revoked};

/// Answers a request at a token endpoint that comes with a key. Any other call goes on.
pub async fn exchange(
    about: &About<'_>,
    target: &Target<'_>,
    shown: &VendorTarget<'_>,
    seen: &Seen,
) -> Result<(), CallEnd> {
    let call = about.call;
    let request =
        read(&call.incoming.headers, about.vendor.query, seen.plain.as_deref().unwrap_or(&seen.bytes), about.search);
    let in_body = || seen.keys.first().map(|stands| stands.key.clone());
    let Some(key) = request.key.clone().or_else(in_body) else { return Ok(()) };
    match answer(about, target, shown, &request, &key).await {
        Ok(Some(answer)) => Err(CallEnd::Answered(None, answer.with("Sluice-Call", call.id.as_str()))),
        Ok(None) => Ok(()),
        Err(CallEnd::Refused(no)) => {
            let saying = Saying { dialect: Dialect::Generic, problem: false, call: &call.id, rate_limit: None };
            Err(CallEnd::Answered(Some(no.refusal.reason), dialect::token_error(&no.refusal, &saying)))
        }
        Err(stop) => Err(stop),
    }
}

/// Returns the answer; none if the connection's vendor has no token endpoint there.
async fn answer(
    about: &About<'_>,
    target: &Target<'_>,
    shown: &VendorTarget<'_>,
    request: &TokenRequest,
    key: &str,
) -> Result<Option<Answer>, CallEnd> {
    let (call, keys) = (about.call, about.keys);
    let claims = keys.open(key, call.incoming.at)?;
    check_role(&claims)?;
    // Asked even where the route is known: the object knows whether the key is still listed.
    let admit = call.admit(claims.clone(), true, target, shown);
    let route = match tenant_client::ask(&call.config, &claims.tenant, &Ask::Describe(admit)).await? {
        Reply::Route(route) => route,
        Reply::Refused(no) => return Err(CallEnd::Refused(Box::new(no))),
        _ => return Err(tenant_client::unavailable().into()),
    };
    let method = call.incoming.method.as_str();
    let what = route.profile.about_token(method, about.vendor.path);
    let (Some(what), Some(endpoint)) = (what, route.profile.token_endpoint.as_ref()) else { return Ok(None) };
    let now = call.incoming.at;
    let token = Issued {
        key,
        key_lives_seconds: claims.expires.map(|at| at.saturating_sub(u64::try_from(now / 1_000).unwrap_or_default())),
        instance_url: &target.connection_url().unwrap_or_default(),
        app: claims.app.as_deref().unwrap_or_default(),
        now,
    };
    if request.unreadable {
        let detail = "a token endpoint reads a form or json: send one of these, with its content type";
        return Err(Refusal::new(Reason::Request, detail).into());
    }
    Ok(Some(match what {
        AboutToken::Issue => issued(endpoint, &token),
        AboutToken::Revoke if is_own(request, about, keys, now) => revoked(method),
        AboutToken::Introspect if is_own(request, about, keys, now) => {
            introspected(&token, request.client_id.as_deref())
        }
        // About a token of the vendor's own, by a client that would authenticate with a key there.
        AboutToken::Revoke | AboutToken::Introspect => {
            let by_form = about.search.caller.as_ref().is_none_or(|found| found.key != key);
            return if by_form { Err(misplaced(sluice_core::keys::Place::Body).into()) } else { Ok(None) };
        }
    }))
}

/// Returns whether the token that it is about is a key; or it is about none, as jsforce's is not
/// where the key is in the head.
fn is_own(request: &TokenRequest, about: &About<'_>, keys: &crate::config::Keys, now: i64) -> bool {
    match &request.token {
        Some(token) => keys.open(token, now).is_ok(),
        None => !about.search.path.is_empty(),
    }
}
