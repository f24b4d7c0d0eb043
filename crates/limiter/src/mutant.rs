//! Rules that tests leave out on purpose: the simulation must catch each, or it proves nothing.

/// A rule to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A reservation may be spent after its end.
    NoEnd,
    /// Any attempt to settle lowers the bound on what an earlier epoch has in flight.
    AnyAttempt,
    /// When an earlier epoch's call ends late, only its own lane counts one less in flight.
    LandsUnseen,
    /// A reset is an instant, and what is in flight over it counts on one side.
    OneSided,
    /// A window counts by the time of sending.
    CountBySend,
}

#[cfg(test)]
thread_local! {
    static LEFT_OUT: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Leaves a rule out on this thread.
#[cfg(test)]
pub fn set(mutant: Option<Mutant>) {
    LEFT_OUT.set(mutant);
}

/// Whether a rule is left out.
#[cfg(test)]
pub fn is(mutant: Mutant) -> bool {
    LEFT_OUT.get() == Some(mutant)
}

/// Returns false: outside tests no rule is left out.
#[cfg(not(test))]
pub const fn is(_: Mutant) -> bool {
    false
}
