//! Administration: who may, and which object is asked.

use crate::config::{Config, Keys};
use crate::js;
use crate::platform::log;
use crate::request::Incoming;
use crate::response::{self, Reply};
use crate::tenant_client::{self, DIRECTORY};
use serde_json::json;
use sluice_core::api::admin::{self, ListStep, Listing};
use sluice_core::http::{AdminAddress, Answer};
use sluice_core::keys::{Guesses, Source};
use sluice_core::protocol::{self, Admin, Ask, Directory};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::Profile;
use std::cell::RefCell;
use web_sys::Request;

/// Answers an administrator's call.
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
    if let Err(reply) = response::allows(incoming, admin::methods(&address)) {
        return reply;
    }
    match address {
        AdminAddress::Vendors => Reply::Own(Answer::json(200, Profile::catalogue())),
        AdminAddress::Tenants => match tenant_client::ask(config, DIRECTORY, &Ask::Directory(Directory::List)).await {
            Ok(reply) => response::said(reply),
            Err(refusal) => refusal.into(),
        },
        AdminAddress::Tenant(tenant) | AdminAddress::Keys(tenant) | AdminAddress::Key(tenant, _) => {
            let asked = match asked(request, incoming, &address, tenant).await {
                Ok(asked) => asked,
                Err(refusal) => return refusal.into(),
            };
            let action = admin::action(&asked);
            let said = ask(config, tenant, asked).await;
            if let Some(action) = action {
                let done = said.as_ref().is_ok_and(admin::is_done);
                log(&json!({"level": "info", "by": by, "action": action, "tenant": tenant, "done": done}));
            }
            said.map_or_else(Reply::from, response::said)
        }
    }
}

thread_local! {
    static GUESSES: RefCell<Guesses> = RefCell::default();
}

/// Returns the name of the administrator who calls.
fn authorised<'a>(keys: &'a Keys, incoming: &Incoming) -> Result<&'a str, Refusal> {
    let token = admin::bearer_token(incoming.header("authorization"))?;
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

/// Reads what is asked of the tenant's object.
async fn asked(
    request: &Request,
    incoming: &Incoming,
    address: &AdminAddress<'_>,
    tenant: &str,
) -> Result<Admin, Refusal> {
    admin::check_tenant_name(tenant)?;
    let has_body = admin::has_body(&incoming.method, address);
    let body = if has_body { body(request, incoming).await? } else { String::new() };
    admin::asked(&incoming.method, address, body)
}

/// Reads the whole body of a call, as text.
pub async fn body(request: &Request, incoming: &Incoming) -> Result<String, Refusal> {
    if !incoming.has_body() {
        return Err(Refusal::new(Reason::Request, "this call needs a body of json"));
    }
    let broken = |_| Refusal::new(Reason::Request, "the request's body broke off before its end");
    let whole = js::read_whole(request, admin::LONGEST_BODY_BYTES).await.map_err(broken)?;
    let Some(whole) = whole else { return Err(Refusal::new(Reason::Payload, "the body is longer than 1 mb")) };
    String::from_utf8(whole.to_vec()).map_err(|_| Refusal::new(Reason::Request, "the body is not utf-8"))
}

/// Asks the tenant's object, and keeps the list of tenants in step.
async fn ask(config: &Config, tenant: &str, admin: Admin) -> Result<protocol::Reply, Refusal> {
    let listing = Listing::of(&admin);
    if listing == Listing::Add {
        tenant_client::ask(config, DIRECTORY, &Ask::Directory(Directory::Add(tenant.to_owned()))).await?;
    }
    let reply = tenant_client::ask(config, tenant, &Ask::Admin(admin)).await?;
    let removes = match listing.after(&reply) {
        ListStep::Stay => false,
        ListStep::Remove => true,
        ListStep::RemoveIfAbsent => {
            admin::is_absent(&tenant_client::ask(config, tenant, &Ask::Admin(Admin::GetPolicy)).await?)
        }
    };
    if removes {
        tenant_client::ask(config, DIRECTORY, &Ask::Directory(Directory::Remove(tenant.to_owned()))).await?;
    }
    Ok(reply)
}
