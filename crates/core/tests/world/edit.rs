//! Policy edits: everything that an administrator may change, one or two things at a time.

use super::dice::Dice;
use super::generate::{LIMITS, Scale, any_app, any_conn, any_kind, any_limit, any_reset, any_routes};
use super::spec::{Conn, Kind, Lim, Spec};

/// Makes another policy that is close to the last one. What was removed comes back from the first.
pub fn edited(dice: &mut Dice, scale: &Scale, last: &Spec, first: &Spec) -> Spec {
    let mut spec = last.clone();
    for _ in 0..dice.from(1, 3) {
        change(dice, scale, &mut spec, first);
    }
    spec
}

fn change(dice: &mut Dice, scale: &Scale, spec: &mut Spec, first: &Spec) {
    match dice.below(20) {
        0 => {
            let (name, conn) = first.conns.iter().next().unwrap();
            match spec.conns.remove(name) {
                Some(_) => {}
                None => drop(spec.conns.insert(name.clone(), conn.clone())),
            }
        }
        1 => {
            let (name, app) = first.apps.iter().next().unwrap();
            match spec.apps.remove(name) {
                Some(_) => {}
                None => drop(spec.apps.insert(name.clone(), app.clone())),
            }
        }
        2..=3 => {
            let drawn = any_app(dice, scale);
            let Some(app) = nth(dice, &mut spec.apps) else { return };
            match dice.below(3) {
                0 => app.weight = drawn.weight,
                1 => app.daily_calls = drawn.daily_calls,
                _ => app.routes = drawn.routes,
            }
        }
        4..=5 => {
            // A connection comes back as it was, with its names.
            let name = first.conns.keys().next().unwrap();
            let drawn = if dice.half() { any_conn(dice, scale) } else { first.conns[name].clone() };
            if let Some(conn) = spec.conns.get_mut(name) {
                settings(dice, conn, drawn);
            }
        }
        _ => {
            let Some(conn) = nth(dice, &mut spec.conns) else { return };
            limits(dice, scale, conn);
        }
    }
}

fn nth<'a, K, V>(dice: &mut Dice, map: &'a mut std::collections::BTreeMap<K, V>) -> Option<&'a mut V> {
    let at = dice.below(map.len());
    map.values_mut().nth(at)
}

fn settings(dice: &mut Dice, conn: &mut Conn, drawn: Conn) {
    match dice.below(6) {
        0 => conn.share_ppm = drawn.share_ppm,
        1 => (conn.queue, conn.max_wait_ms) = (drawn.queue, drawn.max_wait_ms),
        2 => conn.adaptive = drawn.adaptive,
        3 => conn.limits = drawn.limits,
        _ => conn.observe = !conn.observe,
    }
}

fn limits(dice: &mut Dice, scale: &Scale, conn: &mut Conn) {
    let what = dice.below(12);
    if conn.limits.is_empty() || what == 0 && conn.limits.len() < LIMITS.len() {
        let free = LIMITS.iter().find(|name| conn.limits.iter().all(|limit| limit.name != **name)).unwrap();
        conn.limits.push(any_limit(dice, scale, free));
        return;
    }
    let at = dice.below(conn.limits.len());
    if what == 1 {
        conn.limits.remove(at);
        return;
    }
    if what == 2 {
        let other = dice.below(conn.limits.len());
        let name = conn.limits[at].name.clone();
        conn.limits[at].name = std::mem::replace(&mut conn.limits[other].name, name);
        return;
    }
    let drawn = any_limit(dice, scale, "drawn");
    let limit = &mut conn.limits[at];
    match what {
        3..=4 => limit.per_app = !limit.per_app && limit.pool.is_none(),
        5 => limit.routes = if limit.routes.is_empty() { any_routes(dice) } else { Vec::new() },
        6 => limit.kind = keep_pool(limit, any_kind(dice, scale)),
        7 => zones(dice, scale, limit),
        8 => pool(scale, limit),
        9 => *limit = Lim { name: limit.name.clone(), ..drawn },
        _ => figure(dice, &mut limit.kind),
    }
}

/// Keeps a pool only on a daily limit that counts calls and ends when the pool's others do.
fn keep_pool(limit: &mut Lim, kind: Kind) -> Kind {
    limit.pool = None;
    kind
}

fn zones(dice: &mut Dice, scale: &Scale, limit: &mut Lim) {
    let Kind::Daily { reset, bytes, .. } = &mut limit.kind else { return };
    if limit.pool.is_some() {
        return;
    }
    match dice.below(3) {
        0 => *bytes = !*bytes,
        1 => *reset = scale.reset.clone(),
        _ => *reset = any_reset(dice),
    }
}

fn pool(scale: &Scale, limit: &mut Lim) {
    let Kind::Daily { reset, bytes, .. } = &mut limit.kind else { return };
    if limit.pool.take().is_none() && scale.pools {
        (*reset, *bytes, limit.per_app) = (scale.reset.clone(), false, false);
        limit.pool = Some("shared".to_owned());
    }
}

fn figure(dice: &mut Dice, kind: &mut Kind) {
    let times = *dice.pick(&[0.3, 0.5, 2.0, 3.0]);
    let scaled = |figure: &mut u64| *figure = ((*figure as f64 * times) as u64).max(1);
    match kind {
        Kind::Bucket { rate_micro, burst } => scaled(if dice.half() { rate_micro } else { burst }),
        Kind::Window { calls, window_ms, .. } => scaled(if dice.half() { calls } else { window_ms }),
        Kind::RollingDay { calls } => scaled(calls),
        Kind::Daily { amount, .. } => scaled(amount),
        Kind::Slots { calls, after_ms } => scaled(if *after_ms > 0 && dice.half() { after_ms } else { calls }),
    }
}
