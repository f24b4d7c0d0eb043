//! Finds which of a connection's limits count a call, in one pass over each reading of its path
//! rather than route by route.
//!
//! The routes of all limits are in one sorted table, each split into steps: the method, then one
//! step for each segment. Routes with the same beginning are neighbours, so the routes that match a
//! path so far are a few ranges of the table, and each further segment narrows these by binary
//! search. A route that several limits share is in the table once, with a bit for each of them. A
//! range stands for one beginning of a route, so a reading costs at most one search for each
//! distinct beginning and a look at each byte of the path.

#![expect(clippy::cast_possible_truncation, reason = "a route is no longer than a policy, 1 MB")]

use super::reading::{Marks, Reading};
use super::routes::{Route, Routes};
use std::cmp::Ordering;

/// How many lists of routes one matcher can distinguish.
pub const MAX_LISTS: usize = 32;

/// The first step of a route for any method. It sorts before every method's name.
const ANY_METHOD: &[u8] = &[];

/// The step of `**`. It sorts before all others.
const REST: &[u8] = &[0];

/// The step of `*`. It sorts before those of named segments.
const ONE: &[u8] = &[1];

/// The byte with which the step of a named segment begins, before the segment's own bytes.
const NAME: u8 = 2;

/// The routes of up to 32 limits.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// The lists that match every call.
    all: u32,
    /// The lists that have routes.
    routed: u32,
    /// The lists with routes that have only exceptions.
    all_but: u32,
    /// The table that belongs to each reading, by its number. Readings in which all routes are
    /// equal share one.
    by_reading: [usize; Reading::COUNT],
    tables: Vec<Tables>,
}

/// The compiled routes for one reading.
#[derive(Debug, Clone)]
struct Tables {
    /// The routes of calls that are counted, in lower case.
    only: Table,
    /// The routes of calls that are not counted, as written.
    except: Table,
}

impl Matcher {
    /// Compiles lists of routes: list i becomes bit i. Lists beyond [`MAX_LISTS`] are ignored.
    pub fn of<'a>(lists: impl IntoIterator<Item = &'a Routes>) -> Self {
        let lists: Vec<(u32, &Routes)> =
            lists.into_iter().take(MAX_LISTS).enumerate().map(|(at, routes)| (1 << at, routes)).collect();
        let bits = |which: fn(&Routes) -> bool| {
            lists.iter().filter(|(_, routes)| which(routes)).fold(0, |bits, (bit, _)| bits | bit)
        };
        let mut matcher = Self {
            all: bits(Routes::is_all),
            routed: bits(|routes| !routes.is_all()),
            all_but: bits(|routes| !routes.is_all() && routes.only.is_empty()),
            ..Self::default()
        };
        let routes = lists.iter().flat_map(|(_, routes)| routes.only.iter().chain(&routes.except));
        let marks = Marks::of_parts(routes.map(|route| route.path.as_str()));
        let mut made: Vec<(Reading, usize)> = Vec::new();
        for (reading, place) in Reading::every().zip(&mut matcher.by_reading) {
            let same = reading.among(&marks);
            *place = match made.iter().find(|(earlier, _)| *earlier == same) {
                Some((_, table)) => *table,
                None => {
                    matcher.tables.push(Tables {
                        only: Table::of(lists.iter().map(|(bit, routes)| (*bit, &routes.only)), same, true),
                        except: Table::of(lists.iter().map(|(bit, routes)| (*bit, &routes.except)), same, false),
                    });
                    made.push((same, matcher.tables.len().saturating_sub(1)));
                    matcher.tables.len().saturating_sub(1)
                }
            };
        }
        matcher
    }

    /// Whether any list depends on the call's route. If none does, each counts every call.
    pub const fn is_routed(&self) -> bool {
        self.routed != 0
    }

    /// Returns which lists count a call: bit i is set where [`Routes::matches`] of list i is true.
    /// The method is in upper case, the path as sent and without the query.
    pub fn mask(&self, method: &str, path: &str) -> u32 {
        if self.routed == 0 {
            return self.all;
        }
        let mut counted = 0;
        let mut tried: Vec<(Reading, usize, Marks)> = Vec::new();
        let mut readings = Reading::all(path).peekable();
        while let Some(reading) = readings.next() {
            let Some(place) = self.by_reading.get(reading.number()).copied() else { continue };
            // This reading is skipped if what decided an earlier one reads the same in it.
            if tried.iter().any(|(other, at, marks)| *at == place && reading.among(marks) == *other) {
                continue;
            }
            let Some(tables) = self.tables.get(place) else { continue };
            let (only, read) = tables.only.find(method, path, reading, true);
            let (except, read_too) = tables.except.find(method, path, reading, false);
            counted |= (self.all_but | only) & !except;
            if counted == self.routed {
                break;
            }
            if readings.peek().is_some() {
                let decided = path.get(..read.max(read_too)).unwrap_or(path);
                tried.push((reading, place, Marks::of_parts([decided].into_iter())));
            }
        }
        self.all | counted
    }
}

/// The routes of one reading, sorted by their steps.
#[derive(Debug, Clone, Default)]
struct Table {
    rows: Vec<Row>,
}

impl Table {
    fn of<'a>(lists: impl Iterator<Item = (u32, &'a Vec<Route>)>, reading: Reading, lower: bool) -> Self {
        let rows = lists.flat_map(|(bit, routes)| routes.iter().map(move |route| Row::of(bit, route, reading, lower)));
        let mut sorted: Vec<Row> = rows.collect();
        sorted.sort_unstable_by(Row::order);
        let mut rows: Vec<Row> = Vec::new();
        for row in sorted {
            match rows.last_mut() {
                Some(last) if last.order(&row).is_eq() => last.lists |= row.lists,
                _ => rows.push(row),
            }
        }
        Self { rows }
    }

    /// Returns the lists that have a route for this call, and how many bytes of the path decide
    /// that: any further segments would not change it.
    fn find(&self, method: &str, path: &str, reading: Reading, lower: bool) -> (u32, usize) {
        let methods = [ANY_METHOD, method.as_bytes()];
        let mut fits: Vec<&[Row]> = methods.iter().map(|step| named(&self.rows, 0, step)).collect();
        let (mut narrower, mut own, mut found, mut depth) = (Vec::new(), Vec::new(), 0, 1);
        let mut segments = reading.segments(path);
        loop {
            fits.retain(|rows| !rows.is_empty());
            if fits.is_empty() {
                return (found, segments.read());
            }
            let Some(segment) = segments.next() else { break };
            own.clear();
            own.push(NAME);
            spell(segment, reading, lower, &mut own);
            for rows in fits.drain(..) {
                let (_, rest, rows) = ending(rows, depth);
                found |= rest;
                let (any, others) = rows.split_at(rows.len().min(beginning(rows, depth, ONE)));
                if !segment.is_empty() {
                    narrower.push(any);
                }
                narrower.push(named(others, depth, &own));
            }
            std::mem::swap(&mut fits, &mut narrower);
            depth = depth.saturating_add(1);
        }
        for rows in fits {
            let (here, rest, _) = ending(rows, depth);
            found |= here | rest;
        }
        (found, path.len())
    }
}

/// Splits rows that are equal up to a depth: the lists of the row that ends there, those of the row
/// that accepts any rest, and the other rows. There is at most one of each of the first two, and
/// they come first.
fn ending(rows: &[Row], depth: usize) -> (u32, u32, &[Row]) {
    let (here, rows) = match rows.split_first() {
        Some((row, others)) if row.step(depth).is_none() => (row.lists, others),
        _ => (0, rows),
    };
    match rows.split_first() {
        Some((row, others)) if row.step(depth) == Some(REST) => (here, row.lists, others),
        _ => (here, 0, rows),
    }
}

/// Returns the rows that have this step at a depth, out of rows that are equal up to it.
fn named<'a>(rows: &'a [Row], depth: usize, step: &[u8]) -> &'a [Row] {
    let rows = match rows.first() {
        Some(row) if row.step(depth) < Some(step) => {
            rows.get(rows.partition_point(|row| row.step(depth) < Some(step))..).unwrap_or_default()
        }
        _ => rows,
    };
    rows.get(..beginning(rows, depth, step)).unwrap_or_default()
}

/// Returns how many of the first rows have this step at that depth. Mostly it is all or none.
fn beginning(rows: &[Row], depth: usize, step: &[u8]) -> usize {
    let has = |row: &Row| row.step(depth) == Some(step);
    match (rows.first(), rows.last()) {
        (Some(first), _) if !has(first) => 0,
        (_, Some(last)) if has(last) => rows.len(),
        _ => rows.partition_point(has),
    }
}

fn spell(segment: &str, reading: Reading, lower: bool, to: &mut Vec<u8>) {
    let bytes = reading.bytes(segment);
    to.extend(bytes.map(|byte| if lower { byte.to_ascii_lowercase() } else { byte }));
}

/// A route: its steps one after the other, where each ends, and the lists that contain it.
#[derive(Debug, Clone)]
struct Row {
    steps: Box<[u8]>,
    ends: Box<[u32]>,
    lists: u32,
}

impl Row {
    fn of(lists: u32, route: &Route, reading: Reading, lower: bool) -> Self {
        let mut steps = route.method.as_deref().map_or(ANY_METHOD, str::as_bytes).to_vec();
        let mut ends = vec![steps.len() as u32];
        for segment in reading.segments(&route.path) {
            match segment {
                "**" => steps.extend(REST),
                "*" => steps.extend(ONE),
                own => {
                    steps.push(NAME);
                    spell(own, reading, lower, &mut steps);
                }
            }
            ends.push(steps.len() as u32);
        }
        Self { steps: steps.into(), ends: ends.into(), lists }
    }

    /// Returns the step at that depth, or `None` where the route has ended before.
    fn step(&self, depth: usize) -> Option<&[u8]> {
        let to = *self.ends.get(depth)? as usize;
        let from = depth.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.steps.get(from..to)
    }

    /// Compares step by step. A route sorts before those that continue it.
    fn order(&self, other: &Self) -> Ordering {
        let mut depth = 0;
        loop {
            let (own, others) = (self.step(depth), other.step(depth));
            if own.is_none() && others.is_none() {
                return Ordering::Equal;
            }
            match own.cmp(&others) {
                Ordering::Equal => depth = depth.saturating_add(1),
                unequal => return unequal,
            }
        }
    }
}
