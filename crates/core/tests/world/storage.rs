//! Storage with output gates: what an event has written becomes durable some milliseconds later, in
//! order, all of an event or nothing. What the event sends leaves only then.

use sluice_core::tenant::store::{Store, StoreError, Table};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

pub type Rows = BTreeMap<(u8, String), Rc<[u8]>>;

/// A change of one row; `None` removes it.
pub type Op = ((u8, String), Option<Rc<[u8]>>);

/// What is durable, and the events' writes that are on their way.
#[derive(Default)]
pub struct Disk {
    pub rows: Rows,
    pub pending: VecDeque<Batch>,
}

pub struct Batch {
    pub id: u64,
    /// When it becomes durable.
    pub at: i64,
    pub ops: Vec<Op>,
}

impl Disk {
    /// Makes the first of the batches durable, if it is that one.
    pub fn commit(&mut self, id: u64) {
        if self.pending.front().is_some_and(|batch| batch.id == id) {
            let batch = self.pending.pop_front().unwrap();
            apply(&mut self.rows, batch.ops);
        }
    }

    /// Crashes: of the events on their way some land, and the rest is lost.
    pub fn tear(&mut self, mut lands: impl FnMut() -> bool) {
        while let Some(batch) = self.pending.pop_front() {
            if !lands() {
                break;
            }
            apply(&mut self.rows, batch.ops);
        }
        self.pending.clear();
    }
}

fn apply(rows: &mut Rows, ops: Vec<Op>) {
    for (key, row) in ops {
        match row {
            Some(row) => drop(rows.insert(key, row)),
            None => drop(rows.remove(&key)),
        }
    }
}

/// The storage as one instance of an object sees it, during one event.
pub struct View<'a> {
    pub rows: &'a mut Rows,
    pub ops: &'a mut Vec<Op>,
    /// Whether another instance owns the storage now, so that every write fails.
    pub superseded: bool,
    /// How many reads and writes are left until storage refuses; `None` if it does not.
    pub refuses_after: Option<u32>,
    pub reads: std::cell::Cell<u32>,
}

impl View<'_> {
    fn touch(&self, writes: bool) -> Result<(), StoreError> {
        if writes && self.superseded {
            return Err(StoreError("superseded".to_owned()));
        }
        self.reads.set(self.reads.get() + 1);
        match self.refuses_after.filter(|after| self.reads.get() > *after) {
            Some(_) => Err(StoreError("the storage refuses".to_owned())),
            None => Ok(()),
        }
    }

    fn change(&mut self, key: (u8, String), row: Option<Rc<[u8]>>) {
        match &row {
            Some(row) => drop(self.rows.insert(key.clone(), Rc::clone(row))),
            None if self.rows.remove(&key).is_none() => return,
            None => {}
        }
        self.ops.push((key, row));
    }

    fn of(&self, table: Table) -> impl Iterator<Item = (&String, &Rc<[u8]>)> {
        let table = table as u8;
        self.rows.range((table, String::new())..(table + 1, String::new())).map(|((_, id), row)| (id, row))
    }
}

impl Store for View<'_> {
    fn load(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.touch(false)?;
        Ok(self.rows.get(&(table as u8, id.to_owned())).map(|row| row.to_vec()))
    }

    fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.touch(false)?;
        Ok(self.of(table).map(|(id, row)| (id.clone(), row.to_vec())).collect())
    }

    fn some(&self, table: Table, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.touch(false)?;
        let rows = self.of(table).filter(|(id, _)| id.as_str() > after);
        Ok(rows.take(most as usize).map(|(id, row)| (id.clone(), row.to_vec())).collect())
    }

    fn save(&mut self, table: Table, id: &str, value: &[u8]) -> Result<(), StoreError> {
        self.touch(true)?;
        self.change((table as u8, id.to_owned()), Some(value.into()));
        Ok(())
    }

    fn remove(&mut self, table: Table, id: &str) -> Result<(), StoreError> {
        self.touch(true)?;
        self.change((table as u8, id.to_owned()), None);
        Ok(())
    }

    fn clear(&mut self, table: Table) -> Result<(), StoreError> {
        self.touch(true)?;
        let ids: Vec<String> = self.of(table).map(|(id, _)| id.clone()).collect();
        ids.into_iter().for_each(|id| self.change((table as u8, id), None));
        Ok(())
    }
}
