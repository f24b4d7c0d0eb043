//! Looks headers up by name, without regard to case. A message may have thousands (a head of 128 kB
//! holds 16,000), so all work on them takes n log n steps: it happens in one go, while every other
//! call of the isolate waits.

use std::cmp::Ordering;

/// Compares two names without regard to case.
fn compare(one: &str, other: &str) -> Ordering {
    #[cfg(test)]
    tests::COMPARED.set(tests::COMPARED.get() + 1);
    let lower = |byte: u8| byte.to_ascii_lowercase();
    one.bytes().map(lower).cmp(other.bytes().map(lower))
}

/// A set of names that can be searched.
pub struct Names<'a>(Vec<&'a str>);

impl<'a> Names<'a> {
    /// Makes a set of these names, given in any order.
    pub fn of(names: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<_> = names.collect();
        names.sort_by(|one, other| compare(one, other));
        Self(names)
    }

    /// Whether the set contains this name.
    pub fn contain(&self, name: &str) -> bool {
        self.0.binary_search_by(|own| compare(own, name)).is_ok()
    }
}

/// The headers of a message, with the values of each name together.
pub struct ByName<'a>(Vec<(&'a str, usize, &'a str)>);

impl<'a> ByName<'a> {
    /// Groups the headers of this message.
    pub fn of(headers: &'a [(String, String)]) -> Self {
        let places = headers.iter().enumerate();
        let mut all: Vec<_> = places.map(|(at, (name, value))| (name.as_str(), at, value.as_str())).collect();
        // The sort is stable, so the values of a name stay in their order.
        all.sort_by(|(one, ..), (other, ..)| compare(one, other));
        Self(all)
    }

    /// Yields the values of a name, in their order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a str> + Clone + use<'a, '_> {
        let from = self.0.partition_point(|(own, ..)| compare(own, name).is_lt());
        let to = self.0.partition_point(|(own, ..)| compare(own, name).is_le());
        self.0.get(from..to).unwrap_or_default().iter().map(|(.., value)| *value)
    }

    /// Yields each name once, as it is first written, in the order of first occurrence.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        let before = std::iter::once(None).chain(self.0.iter().map(Some));
        let firsts = self.0.iter().zip(before);
        let firsts = firsts.filter(|((own, ..), before)| !before.is_some_and(|(name, ..)| compare(own, name).is_eq()));
        let mut firsts: Vec<_> = firsts.map(|((name, at, _), _)| (*at, *name)).collect();
        firsts.sort_unstable_by_key(|(at, _)| *at);
        firsts.into_iter().map(|(_, name)| name)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::http::Headers;
    use proptest::prelude::*;
    use std::cell::Cell;

    thread_local! {
        /// How often two names were compared on this thread.
        pub static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    /// Returns how often names are compared during `work`.
    pub fn compared<T>(work: impl FnOnce() -> T) -> u64 {
        COMPARED.set(0);
        let _ = work();
        COMPARED.get()
    }

    /// Checks that twice as many headers take little more than twice the steps, and few in total.
    /// `work` runs with n headers.
    pub fn grows_as_sorting_does(what: &str, mut work: impl FnMut(usize)) {
        let [once, twice] = [8_000, 16_000].map(|n| compared(|| work(n)));
        assert!(once > 0, "{what}: nothing was compared, so nothing is shown");
        assert!(twice < 3 * once, "{what}: {once} comparisons for 8,000 headers, {twice} for 16,000");
        assert!(twice < 16_000 * 100, "{what}: {twice} comparisons for 16,000 headers");
    }

    proptest! {
        #[test]
        fn they_are_found_as_by_looking_at_each(
            headers in prop::collection::vec(("[aAbBc]{0,2}", "[xyz]"), 0..9),
            asked in "[aAbBc]{0,2}",
        ) {
            let headers: Headers = headers;
            let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
            let by_name = ByName::of(&headers);
            let values: Vec<_> = headers.iter().filter(|(name, _)| same(name, &asked)).map(|(_, value)| value.as_str()).collect();
            prop_assert_eq!(by_name.values(&asked).collect::<Vec<_>>(), values);
            let mut once: Vec<&str> = Vec::new();
            for (name, _) in &headers {
                if !once.iter().any(|known| same(known, name)) {
                    once.push(name);
                }
            }
            prop_assert_eq!(by_name.names().collect::<Vec<_>>(), once.clone());
            let names = Names::of(headers.iter().map(|(name, _)| name.as_str()));
            prop_assert_eq!(names.contain(&asked), once.iter().any(|known| same(known, &asked)));
        }
    }
}
