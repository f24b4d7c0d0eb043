//! A tenant's beginning, changes and end: what an administrator does.

use super::desk::{Answer, Desk, NAME, Ticket, refused};
use super::line::{Displaced, Line};
use super::protocol::{Admin, Admit, Reply};
use super::store::{Host, StoreError, Table};
use super::{figures, gate, keys};
use crate::policy::{Context, Policy, Warning};
use crate::refusal::{Reason, Refusal};
use std::collections::BTreeMap;

/// Handles an administrator's call.
pub(super) fn administer(desk: &mut Desk, admin: Admin, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    let known = desk.policy.is_some();
    match admin {
        Admin::PutPolicy(text) if desk.locked.is_some() => put_over(desk, &text, host),
        Admin::PutPolicy(text) => put(desk, &text, host),
        Admin::Delete if desk.locked.is_some() => {
            keep_all_counts(host)?;
            delete(desk, host)
        }
        // Of a removal that storage has cut short at its last step the name alone is left.
        Admin::Delete if !known && host.store.load(Table::Policy, NAME)?.is_some() => delete(desk, host),
        _ if !known => Ok(refused(Refusal::new(Reason::NotFound, format!("there is no tenant {}", desk.name)))),
        Admin::GetPolicy => Ok(match &desk.policy {
            Some(policy) => document(200, policy, &[]),
            None => Reply::Again,
        }),
        Admin::Delete => delete(desk, host),
        Admin::CreateKey(new) => keys::create(desk, new, host),
        Admin::ListKeys => Ok(keys::list(desk)),
        Admin::RevokeKey(id) => keys::revoke(desk, &id, host),
    }
}

/// The policy as understood, with what is likely not meant in it: in the document, and for those who look at fields alone there too.
fn document(status: u16, policy: &Policy, warnings: &[Warning]) -> Reply {
    let body = policy.understood(warnings);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    Reply::Document { status, body, warnings }
}

/// Puts a policy in the place of one that cannot be read. What else is stored of the tenant is then taken up again.
fn put_over(desk: &mut Desk, text: &str, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    let reply = put(desk, text, host)?;
    Ok(match reply {
        Reply::Document { body, warnings, .. } => {
            *desk = Desk::open(&desk.name.clone(), host)?;
            Reply::Document { status: 200, body, warnings }
        }
        other => other,
    })
}

/// Keeps what all connections have counted, as that of removed ones is kept. Until when it counts is in a policy that cannot be read: it
/// is kept for as long as any window is.
fn keep_all_counts(host: &mut Host<'_>) -> Result<(), StoreError> {
    const LONGEST_MS: i64 = 32 * sluice_limiter::calendar::DAY_MS;
    for (name, row) in host.store.all(Table::Throttle)? {
        let mut stone = host.now.saturating_add(LONGEST_MS).to_be_bytes().to_vec();
        stone.extend_from_slice(figures::split(&row).0);
        host.store.save(Table::Tombstone, &name, &stone)?;
    }
    Ok(())
}

/// Puts a policy in force: for the next call, and for those that wait. An invalid one changes nothing.
fn put(desk: &mut Desk, text: &str, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    let context =
        Context { zones: host.zones, allow_loopback: host.settings.allow_loopback, previous: desk.policy.as_ref() };
    let (policy, warnings) = match Policy::parse(text, &context) {
        Ok(read) => read,
        Err(faults) => {
            return Ok(Reply::Invalid(faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()));
        }
    };
    let stored = match policy.to_stored(&desk.name, &host.settings.master, host.random) {
        Ok(stored) => stored,
        Err(fault) => return Ok(Reply::Invalid(vec![(String::new(), fault.to_string())])),
    };
    // Storage may refuse at any of these steps: what is stored by then is the old policy or the new one, with no count less. So what is
    // kept of connections that leave is stored before the policy that has them no more.
    let lines = std::mem::take(&mut desk.lines).into_iter();
    let (staying, leaving): (Vec<_>, Vec<_>) = lines.partition(|(name, _)| policy.connections.contains_key(name));
    for (name, mut line) in leaving {
        desk.tell_stored(&mut line);
        let (usage, who) = line.leave(host)?;
        desk.ready.extend(who.into_iter().map(|ticket| (Ticket(ticket), refused(gate::unknown(&name)))));
        desk.keep_removed(name, usage, host)?;
    }
    if host.store.load(Table::Policy, NAME)?.is_none() {
        host.store.save(Table::Policy, NAME, desk.name.as_bytes())?;
    }
    host.store.save(Table::Policy, "", stored.as_bytes())?;
    let mut waiting = Vec::new();
    for (name, mut line) in staying {
        desk.tell_stored(&mut line);
        if let Some(connection) = policy.connections.get(&name) {
            waiting.extend(line.edit(connection, host)?);
        }
        desk.lines.insert(name, line);
    }
    let status = if desk.policy.is_some() { 200 } else { 201 };
    let reply = document(status, &policy, &warnings);
    desk.policy = Some(policy.clone());
    for name in desk.lines.keys().cloned().collect::<Vec<_>>() {
        let check = |admit: &Admit| gate::check(desk, admit, host.now).and_then(|line| line.fits(admit));
        let Some(stays) = desk.lines.get(&name).map(|line| line.who_stays(check)) else { continue };
        let Some(line) = desk.lines.get_mut(&name) else { continue };
        let told = line.replan(&policy, stays, host)?;
        desk.ready.extend(told.into_iter().map(|(ticket, reply)| (Ticket(ticket), reply)));
    }
    for name in policy.connections.keys() {
        if desk.lines.contains_key(name) {
            continue;
        }
        if let Some(line) = Line::open((&desk.name, name), &policy, host)? {
            desk.lines.insert(name.clone(), line);
            desk.take_back(name, host)?;
        }
    }
    desk.sweep(host)?;
    desk.replan_jobs(host)?;
    for Displaced { desk: ticket, admit, waited_ms } in waiting {
        let ticket = Ticket(ticket);
        let checked = gate::check(desk, &admit, host.now).and_then(|line| line.fits(&admit));
        let answer = match checked {
            Ok(()) => desk.put(admit, ticket, waited_ms, host)?,
            Err(refusal) => Answer::Now(refused(refusal)),
        };
        if let Answer::Now(reply) = answer {
            desk.ready.push_back((ticket, reply));
        }
    }
    for name in policy.connections.keys() {
        desk.finish(name, host)?;
    }
    desk.plan_alarm(host)?;
    Ok(reply)
}

/// Removes the tenant: policy, keys and counts, save what its running windows and days still need. That is stored first, and the
/// policy goes last: a removal that storage cuts short loses no count, and is finished by asking again.
fn delete(desk: &mut Desk, host: &mut Host<'_>) -> Result<Reply, StoreError> {
    for (name, mut line) in std::mem::take(&mut desk.lines) {
        let reported = std::mem::take(&mut line.unstored);
        desk.ready.extend(reported.into_iter().map(|ticket| (Ticket(ticket), Reply::Done)));
        for ticket in line.close(host)? {
            desk.ready.push_back((Ticket(ticket), refused(gate::unknown(&name))));
        }
    }
    for table in [Table::Throttle, Table::Access, Table::Key, Table::Removed] {
        host.store.clear(table)?;
    }
    (desk.keys, desk.removed) = (BTreeMap::new(), BTreeMap::new());
    desk.remove_jobs(host)?;
    desk.remove_hooks(host)?;
    Desk::remove_pauses(host)?;
    desk.sweep(host)?;
    host.store.remove(Table::Policy, "")?;
    host.store.remove(Table::Policy, NAME)?;
    (desk.policy, desk.locked) = (None, None);
    desk.plan_alarm(host)?;
    Ok(Reply::Document { status: 204, body: String::new(), warnings: Vec::new() })
}
