//! Administration: who may, and which object is asked.

use crate::config::{Config, Keys};
use crate::js;
use crate::platform::log;
use crate::request::Incoming;
use crate::response::{self, Reply};
use crate::tenant_client::{self, DIRECTORY};
use serde_json::json;
use sluice_core::http::{AdminAddress, Answer};
use sluice_core::keys::{Guesses, Source, is_name};
use sluice_core::protocol::{self, Admin, Ask, Directory, NewKey};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::Profile;
use std::cell::RefCell;
use web_sys::Request;

/// The largest body that is read: a policy of a thousand connections.
const MOST_BYTES: u64 = 1_048_576;

/// An administrator's call.
pub async fn serve(
    config: &Config,
    keys: &Keys,
    request: &Request,
    incoming: &Incoming,
    address: AdminAddress<'_>,
) -> Reply {
    let by = match authorised(keys, incoming) {
        Ok(by) => by,
        Err(refusal) => return refusal.into(),
    };
    let methods: &[&str] = match address {
        AdminAddress::Tenants | AdminAddress::Vendors => &["GET"],
        AdminAddress::Tenant(_) => &["GET", "PUT", "DELETE"],
        AdminAddress::Keys(_) => &["GET", "POST"],
        AdminAddress::Key(..) => &["DELETE"],
    };
    if let Err(reply) = response::allows(incoming, methods) {
        return reply;
    }
    match address {
        AdminAddress::Vendors => Reply::Own(Answer::json(200, Profile::catalogue())),
        AdminAddress::Tenants => match tenant_client::ask(config, DIRECTORY, &Ask::Directory(Directory::List)).await {
            Ok(asked) => response::said(asked.reply),
            Err(refusal) => refusal.into(),
        },
        AdminAddress::Tenant(tenant) | AdminAddress::Keys(tenant) | AdminAddress::Key(tenant, _) => {
            if !is_name(tenant) {
                let detail = "a tenant's name is 1 to 63 of a-z, 0-9 and -, and begins with no -";
                return Refusal::new(Reason::Request, detail).into();
            }
            match admin(request, incoming, address).await {
                Ok(admin) => {
                    let action = action(&admin);
                    let said = ask(config, tenant, admin).await;
                    if let Some(action) = action {
                        let done = matches!(&said, Ok(protocol::Reply::Document { .. }));
                        log(&json!({"level": "info", "by": by, "action": action, "tenant": tenant, "done": done}));
                    }
                    said.map_or_else(Reply::from, response::said)
                }
                Err(refusal) => refusal.into(),
            }
        }
    }
}

thread_local! {
    static GUESSES: RefCell<Guesses> = RefCell::default();
}

/// The name of the administrator who calls.
fn authorised<'a>(keys: &'a Keys, incoming: &Incoming) -> Result<&'a str, Refusal> {
    let bearer = incoming.header("authorization").and_then(|field| field.split_once(' '));
    let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let Some(token) = token else {
        return Err(Refusal::new(Reason::Key, "no token: send the administrator's as a bearer token"));
    };
    // The platform's own word of who calls: it lets no caller set this.
    let source = incoming.header("cf-connecting-ip").and_then(Source::parse);
    if let Some(seconds) = source.and_then(|source| GUESSES.with_borrow(|guesses| guesses.rests(source, incoming.at))) {
        let detail = format!("too many wrong tokens came from this address: ask again in {seconds} s");
        return Err(Refusal { retry_after_seconds: Some(seconds), ..Refusal::new(Reason::Key, detail) });
    }
    keys.admin.accept(token).ok_or_else(|| {
        if let Some(source) = source {
            GUESSES.with_borrow_mut(|guesses| guesses.wrong(source, incoming.at));
        }
        Refusal::new(Reason::Key, "this is not an administrator's token")
    })
}

/// What is asked of the tenant's object.
async fn admin(request: &Request, incoming: &Incoming, address: AdminAddress<'_>) -> Result<Admin, Refusal> {
    Ok(match (address, incoming.method.as_str()) {
        (AdminAddress::Tenant(_), "PUT") => Admin::PutPolicy(body(request, incoming).await?),
        (AdminAddress::Tenant(_), "DELETE") => Admin::Delete,
        (AdminAddress::Keys(_), "POST") => {
            let text = body(request, incoming).await?;
            let fault = |fault| Refusal::new(Reason::Request, format!("the body is not that of a key: {fault}"));
            Admin::CreateKey(NewKey::read(&text).map_err(fault)?)
        }
        (AdminAddress::Keys(_), _) => Admin::ListKeys,
        (AdminAddress::Key(_, id), _) => Admin::RevokeKey(id.to_owned()),
        _ => Admin::GetPolicy,
    })
}

/// What an administrator does, for the log; none of what changes nothing.
const fn action(admin: &Admin) -> Option<&'static str> {
    match admin {
        Admin::PutPolicy(_) => Some("policy.put"),
        Admin::Delete => Some("tenant.delete"),
        Admin::CreateKey(_) => Some("key.create"),
        Admin::RevokeKey(_) => Some("key.revoke"),
        Admin::GetPolicy | Admin::ListKeys => None,
    }
}

/// The whole body of a call, as text.
pub async fn body(request: &Request, incoming: &Incoming) -> Result<String, Refusal> {
    if !incoming.has_body() {
        return Err(Refusal::new(Reason::Request, "this call needs a body of json"));
    }
    let broken = |_| Refusal::new(Reason::Request, "the request's body broke off before its end");
    let whole = js::read_whole(request, MOST_BYTES).await.map_err(broken)?;
    let Some(whole) = whole else { return Err(Refusal::new(Reason::Payload, "the body is longer than 1 mb")) };
    String::from_utf8(whole.to_vec()).map_err(|_| Refusal::new(Reason::Request, "the body is not utf-8"))
}

/// Asks the tenant's object, and keeps the list of tenants in step: a name is in it before its
/// tenant is made and until after it is removed, so that no tenant is ever without a name.
async fn ask(config: &Config, tenant: &str, admin: Admin) -> Result<protocol::Reply, Refusal> {
    let (puts, deletes) = (matches!(admin, Admin::PutPolicy(_)), matches!(admin, Admin::Delete));
    if puts {
        tenant_client::ask(config, DIRECTORY, &Ask::Directory(Directory::Add(tenant.to_owned()))).await?;
    }
    let reply = tenant_client::ask(config, tenant, &Ask::Admin(admin)).await?.reply;
    let done = matches!(reply, protocol::Reply::Document { .. });
    // One whose stored policy cannot be read is there all the same.
    let absent = match (puts, done) {
        (true, false) => !exists(config, tenant).await?,
        _ => deletes && done,
    };
    if absent {
        tenant_client::ask(config, DIRECTORY, &Ask::Directory(Directory::Remove(tenant.to_owned()))).await?;
    }
    Ok(reply)
}

async fn exists(config: &Config, tenant: &str) -> Result<bool, Refusal> {
    let asked = tenant_client::ask(config, tenant, &Ask::Admin(Admin::GetPolicy)).await?;
    Ok(!matches!(asked.reply, protocol::Reply::Refused(no) if no.refusal.reason == Reason::NotFound))
}
