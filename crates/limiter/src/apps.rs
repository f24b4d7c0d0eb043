//! The apps of a connection: those of its plan, then those that the plan no longer has and that still have counts or calls in flight.

use crate::index::{AppId, Table};

/// One app's part in a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRule {
    /// The app's name.
    pub name: String,
    /// The app's share against the other apps'.
    pub weight: u32,
    /// How many calls the app may make through this connection on each of the connection's days.
    pub daily_calls: Option<u64>,
}

impl AppRule {
    /// Returns the rule of an app that the plan no longer has.
    pub const fn former(name: String) -> Self {
        Self { name, weight: 1, daily_calls: None }
    }
}

/// The table of apps, which are found by number or by name.
#[derive(Debug, Clone, Default)]
pub struct Apps {
    rules: Table<AppId, AppRule>,
    /// All numbers, ordered by name.
    by_name: Vec<AppId>,
}

impl Apps {
    /// Adds an app at the end of the table and returns its number.
    pub fn add(&mut self, rule: AppRule) -> AppId {
        let place = self.place_of(&rule.name);
        let app = self.rules.push(rule);
        if let Err(place) = place {
            self.by_name.insert(place, app);
        }
        app
    }

    /// Returns the number of the app of this name.
    pub fn find(&self, name: &str) -> Option<AppId> {
        self.by_name.get(self.place_of(name).ok()?).copied()
    }

    fn place_of(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&app| self.name(app).cmp(name))
    }

    /// Returns the rule of an app.
    pub fn get(&self, app: AppId) -> Option<&AppRule> {
        self.rules.get(app)
    }

    /// Returns the name of an app; empty for a number that is not in the table.
    pub fn name(&self, app: AppId) -> &str {
        self.rules.get(app).map_or("", |app| app.name.as_str())
    }

    /// Returns how many apps there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Returns all apps with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (AppId, &AppRule)> {
        self.rules.iter()
    }

    /// Returns the numbers of all apps, in order.
    pub fn ids(&self) -> impl Iterator<Item = AppId> + use<> {
        self.rules.ids()
    }
}
