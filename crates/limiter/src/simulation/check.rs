//! The strict vendor: what it has seen, held against its limits.

use super::setting::SECOND;
use super::world::{Seen, World};
use crate::{Kind, SKEW_MS};
use std::collections::BTreeMap;

/// How often each limit was overrun.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overruns {
    pub window: usize,
    pub bucket: usize,
    pub slots: usize,
    pub day: usize,
    pub under_counted: u64,
}

pub fn overruns(world: &World) -> Overruns {
    let mut found = Overruns::default();
    for (at, limit) in world.setting.limits.iter().enumerate() {
        let counted = |seen: &&Seen| seen.mask & (1 << at) != 0;
        let apps: Vec<Option<usize>> =
            if limit.per_app { (0..world.setting.apps.len()).map(Some).collect() } else { vec![None] };
        for app in apps {
            let mine = |seen: &&Seen| app.is_none_or(|app| seen.app == app);
            let seen: Vec<Seen> = world.journal.seen.iter().filter(counted).filter(mine).copied().collect();
            match &limit.kind {
                Kind::RollingWindow { calls, window_ms, .. } => found.window += in_window(&seen, *calls, *window_ms),
                Kind::RollingDay { calls } => found.window += in_window(&seen, *calls, 86_400_000),
                Kind::TokenBucket { rate_micro, burst } => found.bucket += in_bucket(&seen, *rate_micro, *burst),
                Kind::Concurrency { calls, .. } => found.slots += at_once(&seen, *calls),
                Kind::Daily { amount, .. } => found.day += in_days(&seen, *amount),
            }
        }
    }
    for (app, (.., budget)) in world.setting.apps.iter().enumerate() {
        let seen: Vec<Seen> = world.journal.seen.iter().filter(|seen| seen.app == app).copied().collect();
        if let Some(budget) = budget {
            found.day += in_days(&seen, *budget);
        }
    }
    found.under_counted = under_counted(world);
    found
}

fn in_window(seen: &[Seen], calls: u64, window_ms: u64) -> usize {
    let mut at: Vec<i64> = seen.iter().map(|seen| seen.counted).collect();
    at.sort_unstable();
    let window = i64::try_from(window_ms).unwrap() * 1_000;
    let mut first = 0;
    (0..at.len())
        .filter(|&last| {
            while at[last] - at[first] >= window {
                first += 1;
            }
            (last - first + 1) as u64 > calls
        })
        .count()
}

fn in_bucket(seen: &[Seen], rate_micro: u64, burst: u64) -> usize {
    let mut at: Vec<i64> = seen.iter().map(|seen| seen.counted).collect();
    at.sort_unstable();
    // The level in millionths of a token.
    let (mut level, mut last, mut over) = (0_i128, 0_i64, 0);
    for now in at {
        level = (level - i128::from(now - last) * i128::from(rate_micro) / 1_000_000).max(0);
        last = now;
        if level + 1_000_000 > i128::from(burst) * 1_000_000 + 1 {
            over += 1;
        } else {
            level += 1_000_000;
        }
    }
    over
}

fn at_once(seen: &[Seen], calls: u64) -> usize {
    let mut edges: Vec<(i64, i32)> = seen.iter().flat_map(|seen| [(seen.from, 1), (seen.to, -1)]).collect();
    edges.sort_unstable();
    let mut now = 0;
    edges
        .iter()
        .filter(|(_, step)| {
            now += step;
            *step > 0 && i64::from(now) > i64::try_from(calls).unwrap()
        })
        .count()
}

/// The vendor's clock may differ from true time by what the reset's interval allows for, less what our own may.
fn in_days(seen: &[Seen], amount: u64) -> usize {
    let most = 1_000_000 - SKEW_MS * 1_000 / 2 - 1_000;
    [-most, 0, most]
        .into_iter()
        .map(|skew| {
            let mut days: BTreeMap<i64, u64> = BTreeMap::new();
            for seen in seen {
                *days.entry((seen.counted - skew).div_euclid(86_400 * SECOND)).or_default() += 1;
            }
            days.values().filter(|n| **n > amount).count()
        })
        .sum()
}

/// Calls of the last day that the object, woken once more, does not know of.
fn under_counted(world: &World) -> u64 {
    let (ours, theirs) = counted(world);
    theirs.saturating_sub(ours)
}

/// Calls of the last day that the object, woken once more, counts and that were never made.
pub fn over_counted(world: &World) -> u64 {
    let (ours, theirs) = counted(world);
    ours.saturating_sub(theirs)
}

/// Calls of the last day as the object, woken once more, counts them; and as the vendor does.
fn counted(world: &World) -> (u64, u64) {
    let day = world.reload().day().unwrap();
    let ours: u64 = day.apps.iter().map(|(_, n)| n).sum();
    let from = day.from * 1_000;
    (ours, world.journal.seen.iter().filter(|seen| seen.counted >= from).count() as u64)
}

/// Of the times from each crash of these kinds to the next grant, microseconds: the `hundredths`-th.
pub fn stall(worlds: &[World], kinds: &[&str], hundredths: usize) -> Option<i64> {
    let mut stalls = Vec::new();
    for journal in worlds.iter().map(|world| &world.journal) {
        for (at, _) in journal.crashes.iter().filter(|(_, found)| kinds.contains(found)) {
            let next = journal.grants.get(journal.grants.partition_point(|grant| grant <= at));
            stalls.extend(next.map(|grant| grant - at));
        }
    }
    stalls.sort_unstable();
    stalls.get(stalls.len().saturating_sub(1) * hundredths / 100).copied()
}
