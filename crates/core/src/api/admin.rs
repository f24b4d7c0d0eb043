//! Administration: what each address knows, what is asked of a tenant, and how the list of tenants is kept in step.

use crate::http::AdminAddress;
use crate::keys::is_name;
use crate::protocol::{Admin, NewKey, Reply};
use crate::refusal::{Reason, Refusal};

/// The largest body that is read: a policy of a thousand connections.
pub const LONGEST_BODY_BYTES: u64 = 1_048_576;

/// The methods that an address under `/admin` knows.
pub const fn methods(address: &AdminAddress<'_>) -> &'static [&'static str] {
    match address {
        AdminAddress::Tenants | AdminAddress::Vendors => &["GET"],
        AdminAddress::Tenant(_) => &["GET", "PUT", "DELETE"],
        AdminAddress::Keys(_) => &["GET", "POST"],
        AdminAddress::Key(..) => &["DELETE"],
    }
}

/// The token of a request that is an administrator's, from its `Authorization`.
///
/// # Errors
/// If there is none.
pub fn bearer_token(authorization: Option<&str>) -> Result<&str, Refusal> {
    let bearer = authorization.and_then(|field| field.split_once(' '));
    let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    token.ok_or_else(|| Refusal::new(Reason::Key, "no token: send the administrator's as a bearer token"))
}

/// Checks that this may name a tenant.
///
/// # Errors
/// If it may not.
pub fn check_tenant_name(tenant: &str) -> Result<(), Refusal> {
    if is_name(tenant) {
        return Ok(());
    }
    Err(Refusal::new(Reason::Request, "a tenant's name is 1 to 63 of a-z, 0-9 and -, and begins with no -"))
}

/// Whether the body is wanted of a request to this address.
pub fn has_body(method: &str, address: &AdminAddress<'_>) -> bool {
    matches!((address, method), (AdminAddress::Tenant(_), "PUT") | (AdminAddress::Keys(_), "POST"))
}

/// What is asked of the tenant's object. `body`: the request's, where [`has_body`] wants it.
///
/// # Errors
/// If the body is not that of a key, where it is to be one.
pub fn asked(method: &str, address: &AdminAddress<'_>, body: String) -> Result<Admin, Refusal> {
    Ok(match (*address, method) {
        (AdminAddress::Tenant(_), "PUT") => Admin::PutPolicy(body),
        (AdminAddress::Tenant(_), "DELETE") => Admin::Delete,
        (AdminAddress::Keys(_), "POST") => {
            let fault = |fault| Refusal::new(Reason::Request, format!("the body is not that of a key: {fault}"));
            Admin::CreateKey(NewKey::read(&body).map_err(fault)?)
        }
        (AdminAddress::Keys(_), _) => Admin::ListKeys,
        (AdminAddress::Key(_, id), _) => Admin::RevokeKey(id.to_owned()),
        _ => Admin::GetPolicy,
    })
}

/// What an administrator does, for the log; none of what changes nothing.
pub const fn action(admin: &Admin) -> Option<&'static str> {
    match admin {
        Admin::PutPolicy(_) => Some("policy.put"),
        Admin::Delete => Some("tenant.delete"),
        Admin::CreateKey(_) => Some("key.create"),
        Admin::RevokeKey(_) => Some("key.revoke"),
        Admin::GetPolicy | Admin::ListKeys => None,
    }
}

/// How the list of tenants is kept in step with what an administrator does: a name is in it before its tenant is made and
/// until after it is removed, so that no tenant is ever without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// The name is added first.
    Add,
    /// The name is taken out when all is done.
    Remove,
    /// The list stays as it is.
    Stay,
}

/// What is done about the list of tenants when the object has replied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStep {
    /// Nothing.
    Stay,
    /// The name is taken out.
    Remove,
    /// The name is taken out if there is no such tenant. One whose stored policy cannot be read is there all the same.
    RemoveIfAbsent,
}

impl Listing {
    /// How the list is kept for what is asked.
    pub const fn of(admin: &Admin) -> Self {
        match admin {
            Admin::PutPolicy(_) => Self::Add,
            Admin::Delete => Self::Remove,
            _ => Self::Stay,
        }
    }

    /// What is done about the list after the object's reply.
    pub fn after(self, reply: &Reply) -> ListStep {
        match (self, is_done(reply)) {
            (Self::Add, false) => ListStep::RemoveIfAbsent,
            (Self::Remove, true) => ListStep::Remove,
            _ => ListStep::Stay,
        }
    }
}

/// Whether the object has done what it was asked.
pub const fn is_done(reply: &Reply) -> bool {
    matches!(reply, Reply::Document { .. })
}

/// Whether the object's reply to [`Admin::GetPolicy`] says that there is no such tenant.
pub fn is_absent(reply: &Reply) -> bool {
    matches!(reply, Reply::Refused(no) if no.refusal.reason == Reason::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::No;
    use crate::upstream::Dialect;

    const TENANT: AdminAddress<'_> = AdminAddress::Tenant("acme");
    const KEYS: AdminAddress<'_> = AdminAddress::Keys("acme");
    const KEY: AdminAddress<'_> = AdminAddress::Key("acme", "k1");

    fn refused(reason: Reason) -> Reply {
        Reply::Refused(No { refusal: Refusal::new(reason, "no"), dialect: Dialect::Generic, rate_limit: None })
    }

    fn document() -> Reply {
        Reply::Document { status: 200, body: "{}".to_owned(), warnings: Vec::new() }
    }

    #[test]
    fn a_token_is_a_bearers() {
        assert_eq!(bearer_token(Some("Bearer  secret ")).as_deref(), Ok("secret"));
        assert_eq!(bearer_token(Some("bearer secret")).as_deref(), Ok("secret"));
        for field in [None, Some(""), Some("secret"), Some("Basic secret")] {
            assert_eq!(bearer_token(field).unwrap_err().reason, Reason::Key, "{field:?}");
        }
    }

    #[test]
    fn a_method_and_an_address_say_what_is_asked_and_what_the_log_tells_of_it() {
        let key = r#"{"role": "viewer"}"#;
        for (method, address, body, wanted, told) in [
            ("GET", TENANT, "", "GetPolicy", None),
            ("HEAD", TENANT, "", "GetPolicy", None),
            ("PUT", TENANT, "{}", r#"PutPolicy("{}")"#, Some("policy.put")),
            ("DELETE", TENANT, "", "Delete", Some("tenant.delete")),
            ("GET", KEYS, "", "ListKeys", None),
            ("POST", KEYS, key, "CreateKey(", Some("key.create")),
            ("DELETE", KEY, "", r#"RevokeKey("k1")"#, Some("key.revoke")),
        ] {
            assert_eq!(has_body(method, &address), !body.is_empty(), "{method} {address:?}");
            let admin = asked(method, &address, body.to_owned()).unwrap();
            assert!(format!("{admin:?}").starts_with(wanted), "{admin:?}");
            assert_eq!(action(&admin), told);
            assert!(methods(&address).contains(&method) || method == "HEAD");
        }
        let fault = asked("POST", &KEYS, "{}".to_owned()).unwrap_err();
        assert_eq!(fault.reason, Reason::Request);
        assert!(fault.detail.starts_with("the body is not that of a key: "), "{}", fault.detail);
    }

    #[test]
    fn no_tenant_is_ever_without_its_name_in_the_list() {
        let (put, delete) = (Listing::of(&Admin::PutPolicy(String::new())), Listing::of(&Admin::Delete));
        assert_eq!((put, delete, Listing::of(&Admin::ListKeys)), (Listing::Add, Listing::Remove, Listing::Stay));
        for (listing, reply, wanted) in [
            (put, document(), ListStep::Stay),
            (put, refused(Reason::Request), ListStep::RemoveIfAbsent),
            (put, Reply::Invalid(Vec::new()), ListStep::RemoveIfAbsent),
            (delete, document(), ListStep::Remove),
            (delete, refused(Reason::Unavailable), ListStep::Stay),
            (Listing::Stay, document(), ListStep::Stay),
            (Listing::Stay, refused(Reason::NotFound), ListStep::Stay),
        ] {
            assert_eq!(listing.after(&reply), wanted, "{listing:?} {reply:?}");
        }
    }

    #[test]
    fn a_tenant_whose_policy_cannot_be_read_is_there() {
        assert!(is_absent(&refused(Reason::NotFound)));
        assert!(!is_absent(&refused(Reason::Setup)) && !is_absent(&document()));
    }

    #[test]
    fn a_tenants_name_is_checked_before_its_object_is_found() {
        assert_eq!(check_tenant_name("acme-2"), Ok(()));
        for name in ["", "-a", "Acme", "a_b", "*", &"a".repeat(64)] {
            assert_eq!(check_tenant_name(name).unwrap_err().reason, Reason::Request, "{name}");
        }
    }
}
