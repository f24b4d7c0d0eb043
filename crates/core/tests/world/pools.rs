//! Messages between tenants' objects and a pool's.

use super::place::To;
use super::scenario::SECOND;
use super::world::{Event, Parcel, World};
use sluice_core::protocol::{Ask, Reply};
use sluice_core::tenant::pools::PoolRequest;
use sluice_core::tenant::state::Answer;

/// An ask of a pool on its way, with who asked.
pub struct Loan {
    pub place: usize,
    pub instance: u64,
    pub errant: PoolRequest,
}

impl World<'_> {
    pub fn borrow(&mut self, place: usize, instance: u64, errant: PoolRequest) {
        self.journal.counts.loans += 1;
        let loan = Box::new(Loan { place, instance, errant });
        if !self.quiet && self.dice.in_thousand(self.s.faults.pool_lost) {
            let after = self.dice.from(10_000, SECOND);
            return self.after(after, Event::LentAt(loan, None));
        }
        let held = self.places[place].instances.iter().find(|held| held.id == instance);
        let gate = held.map_or(self.now, |held| held.gate.max(self.now));
        let trip = self.trip();
        self.at(gate + trip, Event::BorrowAt(loan));
    }

    pub fn borrow_at(&mut self, loan: Box<Loan>) {
        let pool = self.places.len() - 1;
        assert_eq!(loan.errant.object, self.places[pool].name);
        let Ask::LoanRequest(words) = &loan.errant.ask else { panic!("a pool is asked for a loan") };
        let words = words.clone();
        let text = format!("{} (turn {}) wants {} of the pool", words.who, words.turn, words.want);
        self.trace(|| text);
        let done = self.event(pool, To::Any, |tenant, _, host| tenant.handle(Ask::LoanRequest(words), host));
        match done {
            Some(done) => {
                let Answer::Now(reply) = done.value else { panic!("a pool answers at once") };
                self.say(pool, done.instance, Parcel::LoanGrant(loan, reply));
            }
            None => self.after(SECOND / 50, Event::LentAt(loan, None)),
        }
    }

    pub fn lent_leaves(&mut self, loan: Box<Loan>, reply: Option<Reply>) {
        let lost = !self.quiet && self.dice.in_thousand(self.s.faults.pool_lost);
        let reply = if lost { None } else { reply };
        let trip = self.trip();
        self.after(trip, Event::LentAt(loan, reply));
    }

    pub fn lent_at(&mut self, loan: Box<Loan>, reply: Option<Reply>) {
        let Loan { place, instance, errant } = *loan;
        let text = format!("{reply:?} for instance {instance}");
        self.trace(|| text);
        if let Some(done) =
            self.event(place, To::Instance(instance), |tenant, _, host| tenant.lent(&errant, reply, host))
        {
            self.hand_out(place, done.instance, done.ready);
        }
    }
}
