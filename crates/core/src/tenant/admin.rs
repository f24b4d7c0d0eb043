//! The calls of administrators: a tenant's policy is put, read and removed, its keys are issued and
//! revoked.

use super::connection::{ConnectionState, Displaced};
use super::keys::Keys;
use super::replies::{Answer, refused};
use super::retained::RemovedConnections;
use super::state::{NAME, TenantState};
use super::store::{Host, StoreError, Table};
use super::webhooks::Callbacks;
use super::{authorize, connection, pauses};
use crate::policy::{Context, Policy, Warning};
use crate::protocol::{Admin, Admit, Reply};
use crate::refusal::{Reason, Refusal};

/// Handles an administrator's call.
pub(super) fn administer(tenant: &mut TenantState, admin: Admin, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    let known = tenant.policy.is_some();
    match admin {
        Admin::PutPolicy(text) if tenant.locked.is_some() => put_over(tenant, &text, host),
        Admin::PutPolicy(text) => put(tenant, &text, host),
        Admin::Delete if tenant.locked.is_some() => {
            keep_all_counts(host)?;
            delete(tenant, host)
        }
        // Of a removal that storage has cut short at its last step the name alone is left.
        Admin::Delete if !known && host.store.load(Table::Policy, NAME)?.is_some() => delete(tenant, host),
        _ if !known => Ok(refused(Refusal::new(Reason::NotFound, format!("there is no tenant {}", tenant.name)))),
        Admin::GetPolicy => Ok(match &tenant.policy {
            Some(policy) => document(200, policy, &[]),
            None => Reply::Retry,
        }),
        Admin::Delete => delete(tenant, host),
        Admin::CreateKey(new) => tenant.keys.create((&tenant.name, tenant.policy.as_ref()), new, host),
        Admin::ListKeys => Ok(tenant.keys.list()),
        Admin::RevokeKey(id) => tenant.keys.revoke(&id, host),
    }
}

/// Answers with the policy as understood. Warnings of what is likely not meant are in the document,
/// and beside it for those who look at fields alone.
fn document(status: u16, policy: &Policy, warnings: &[Warning]) -> Reply {
    let body = policy.understood(warnings);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    Reply::Document { status, body, warnings }
}

/// Puts a policy in the place of one that cannot be read. Then what else is stored of the tenant is
/// loaded again.
fn put_over(tenant: &mut TenantState, text: &str, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    let reply = put(tenant, text, host)?;
    Ok(match reply {
        Reply::Document { body, warnings, .. } => {
            *tenant = TenantState::open(&tenant.name.clone(), host)?;
            Reply::Document { status: 200, body, warnings }
        }
        other => other,
    })
}

/// Keeps what all connections have counted, as that of removed ones is kept. The policy that says
/// how long it counts cannot be read, so it is kept for as long as any window may be.
fn keep_all_counts(host: &mut Host<'_>) -> Result<(), StoreError> {
    const LONGEST_MS: i64 = 32 * sluice_limiter::calendar::DAY_MS;
    for (name, row) in host.store.all(Table::Limiter)? {
        let mut stone = host.now.saturating_add(LONGEST_MS).to_be_bytes().to_vec();
        stone.extend_from_slice(connection::split_row(&row).0);
        host.store.save(Table::Tombstone, &name, &stone)?;
    }
    Ok(())
}

/// Puts a policy in force, for the next call and for those that wait. An invalid policy changes
/// nothing.
fn put(tenant: &mut TenantState, text: &str, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    let context =
        Context { zones: host.zones, allow_loopback: host.settings.allow_loopback, previous: tenant.policy.as_ref() };
    let (policy, warnings) = match Policy::parse(text, &context) {
        Ok(read) => read,
        Err(faults) => {
            return Ok(Reply::Invalid(faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()));
        }
    };
    let stored = match policy.to_stored(&tenant.name, &host.settings.master, host.random) {
        Ok(stored) => stored,
        Err(fault) => return Ok(Reply::Invalid(vec![(String::new(), fault.to_string())])),
    };
    // Storage may refuse at any of these steps: what is stored by then is the old policy or the new one, with no count less. So what
    // is kept of connections that leave is stored before the policy that has them no more.
    let staying = close_leaving(tenant, &policy, host)?;
    if host.store.load(Table::Policy, NAME)?.is_none() {
        host.store.save(Table::Policy, NAME, tenant.name.as_bytes())?;
    }
    host.store.save(Table::Policy, "", stored.as_bytes())?;
    let status = if tenant.policy.is_some() { 200 } else { 201 };
    let reply = document(status, &policy, &warnings);
    let waiting = edit_staying(tenant, staying, &policy, host)?;
    open_coming(tenant, &policy, host)?;
    tenant.sweep(host)?;
    tenant.replan_jobs(host)?;
    for Displaced { ticket, admit, waited_ms } in waiting {
        let answer = match authorize::admissible(tenant, &admit, host.now) {
            Ok(_) => tenant.admit_call(admit, ticket, waited_ms, host)?,
            Err(refusal) => Answer::Now(refused(refusal)),
        };
        if let Answer::Now(reply) = answer {
            tenant.replies.push(ticket, reply);
        }
    }
    for name in policy.connections.keys() {
        tenant.commit(name, host)?;
    }
    tenant.plan_alarm(host)?;
    Ok(reply)
}

/// Closes the connections that a policy has no more, and keeps what they have counted. Gives the
/// connections that stay.
fn close_leaving(
    tenant: &mut TenantState,
    policy: &Policy,
    host: &mut Host<'_>,
) -> Result<Vec<(String, ConnectionState)>, StoreError> {
    let connections = std::mem::take(&mut tenant.connections).into_iter();
    let (staying, leaving): (Vec<_>, Vec<_>) = connections.partition(|(name, _)| policy.connections.contains_key(name));
    for (name, mut connection) in leaving {
        tenant.replies.acknowledge(connection.take_reports());
        let (usage, who) = connection.leave(host)?;
        tenant.replies.extend(who.into_iter().map(|ticket| (ticket, refused(authorize::unknown(&name)))));
        tenant.removed.keep(name, usage, host)?;
    }
    Ok(staying)
}

/// Puts a policy in force for the connections that stay. Gives the calls that waited for an access
/// token; they are to ask anew.
fn edit_staying(
    tenant: &mut TenantState,
    staying: Vec<(String, ConnectionState)>,
    policy: &Policy,
    host: &mut Host<'_>,
) -> Result<Vec<Displaced>, StoreError> {
    let mut waiting = Vec::new();
    for (name, mut connection) in staying {
        tenant.replies.acknowledge(connection.take_reports());
        if let Some(rules) = policy.connections.get(&name) {
            waiting.extend(connection.edit(rules, host)?);
        }
        tenant.connections.insert(name, connection);
    }
    tenant.policy = Some(policy.clone());
    for name in tenant.connections.keys().cloned().collect::<Vec<_>>() {
        let check = |admit: &Admit| authorize::admissible(tenant, admit, host.now).map(drop);
        let Some(stays) = tenant.connections.get(&name).map(|connection| connection.who_stays(check)) else { continue };
        let Some(connection) = tenant.connections.get_mut(&name) else { continue };
        tenant.replies.extend(connection.replan(policy, stays, host)?);
    }
    Ok(waiting)
}

/// Opens the connections that a policy has and the tenant had not.
fn open_coming(tenant: &mut TenantState, policy: &Policy, host: &mut Host<'_>) -> Result<(), StoreError> {
    for name in policy.connections.keys() {
        if tenant.connections.contains_key(name) {
            continue;
        }
        if let Some(connection) = ConnectionState::open((&tenant.name, name), policy, host)? {
            tenant.connections.insert(name.clone(), connection);
            tenant.take_back(name, host)?;
        }
    }
    Ok(())
}

/// Removes the tenant: its policy, keys and counts, except what its running windows and days still
/// need. That is stored first, and the policy goes last: a removal that storage cuts short loses no
/// count, and is finished by asking again.
fn delete(tenant: &mut TenantState, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    for (name, mut connection) in std::mem::take(&mut tenant.connections) {
        tenant.replies.acknowledge(connection.take_reports());
        let who = connection.close(host)?;
        tenant.replies.extend(who.into_iter().map(|ticket| (ticket, refused(authorize::unknown(&name)))));
    }
    for table in [Table::Limiter, Table::TokenCache, Table::Key, Table::Retained] {
        host.store.clear(table)?;
    }
    (tenant.keys, tenant.removed) = (Keys::default(), RemovedConnections::default());
    tenant.remove_jobs(host)?;
    tenant.callbacks = Callbacks::remove_all(&tenant.name, host)?;
    pauses::remove_all(host)?;
    tenant.sweep(host)?;
    host.store.remove(Table::Policy, "")?;
    host.store.remove(Table::Policy, NAME)?;
    (tenant.policy, tenant.locked) = (None, None);
    tenant.plan_alarm(host)?;
    Ok(Reply::Document { status: 204, body: String::new(), warnings: Vec::new() })
}
