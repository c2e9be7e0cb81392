//! Places of connections: who gets one, and who loses one. Pure.
//!
//! A connection begins as one of a stranger. It becomes one of a runner or of an administrator
//! when a request on it shows a token. Strangers never keep anybody out: where there is no room,
//! the one that has been there for longest makes place. Runners may take all places but a few,
//! which are left to administrators.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// Numbers of places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// In all.
    pub(super) total: usize,
    /// Of these, kept for administrators.
    pub(super) kept: usize,
    /// Of strangers of one address.
    pub(super) per_address: usize,
}

/// A connection that showed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Of a runner or a task.
    Runner,
    /// Of an administrator.
    Admin,
}

#[derive(Debug)]
struct Place {
    /// `None`: of a proxy that stands for many.
    address: Option<IpAddr>,
    standing: Option<Standing>,
}

/// There is no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A connection that got a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) id: u64,
    /// The one that has to be closed for it.
    pub(super) evicted: Option<u64>,
}

/// The places of all connections.
#[derive(Debug)]
pub(super) struct Places {
    numbers: Numbers,
    next: u64,
    open: HashMap<u64, Place>,
    /// Strangers, the oldest first.
    strangers: BTreeSet<u64>,
    of_address: HashMap<IpAddr, BTreeSet<u64>>,
    runners: usize,
}

impl Places {
    pub(super) fn new(numbers: Numbers) -> Self {
        Self {
            numbers,
            next: 0,
            open: HashMap::new(),
            strangers: BTreeSet::new(),
            of_address: HashMap::new(),
            runners: 0,
        }
    }

    /// Gives a connection a place. An address of `None` has as many as there are.
    pub(super) fn arrive(&mut self, address: Option<IpAddr>) -> Result<Arrival, Full> {
        let of_address = address.and_then(|address| self.of_address.get(&address));
        let evicted = match of_address {
            Some(own) if own.len() >= self.numbers.per_address => own.first().copied(),
            _ if self.open.len() >= self.numbers.total => {
                Some(self.strangers.first().copied().ok_or(Full)?)
            }
            _ => None,
        };
        if let Some(evicted) = evicted {
            self.leave(evicted);
        }
        let id = self.next;
        self.next += 1;
        self.open.insert(id, Place { address, standing: None });
        self.strangers.insert(id);
        if let Some(address) = address {
            self.of_address.entry(address).or_default().insert(id);
        }
        Ok(Arrival { id, evicted })
    }

    /// Notes that a connection showed a token. One that lost its place meanwhile is closing.
    pub(super) fn prove(&mut self, id: u64, standing: Standing) -> Result<(), Full> {
        let Some(place) = self.open.get_mut(&id) else { return Ok(()) };
        let before = place.standing;
        if before == Some(standing) || before == Some(Standing::Admin) {
            return Ok(());
        }
        if standing == Standing::Runner
            && self.runners >= self.numbers.total.saturating_sub(self.numbers.kept)
        {
            return Err(Full);
        }
        place.standing = Some(standing);
        let address = place.address;
        match before {
            None => self.forget_stranger(id, address),
            Some(_) => self.runners -= 1,
        }
        if standing == Standing::Runner {
            self.runners += 1;
        }
        Ok(())
    }

    /// Returns the number of connections that have a place.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Notes that a connection was closed.
    pub(super) fn leave(&mut self, id: u64) {
        match self.open.remove(&id) {
            Some(Place { address, standing: None }) => self.forget_stranger(id, address),
            Some(Place { standing: Some(Standing::Runner), .. }) => self.runners -= 1,
            _ => {}
        }
    }

    fn forget_stranger(&mut self, id: u64, address: Option<IpAddr>) {
        self.strangers.remove(&id);
        let Some(address) = address else { return };
        if let Some(own) = self.of_address.get_mut(&address) {
            own.remove(&id);
            if own.is_empty() {
                self.of_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Numbers = Numbers { total: 6, kept: 2, per_address: 3 };

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn a_stranger_makes_place_for_the_next_one_of_its_address_and_for_all_when_it_is_full() {
        let mut places = Places::new(NUMBERS);
        let evicted: Vec<_> = [1, 1, 1, 1, 2, 2, 3, 4]
            .map(|of| places.arrive(address(of)).unwrap().evicted)
            .into_iter()
            .collect();
        let none = None;
        assert_eq!(evicted, [none, none, none, Some(0), none, none, none, Some(1)]);
        places.leave(1);
        assert_eq!(places.open.len(), 6);
    }

    #[test]
    fn runners_leave_places_to_administrators_and_strangers_keep_nobody_out() {
        let mut places = Places::new(NUMBERS);
        for id in 0..4 {
            assert_eq!(places.arrive(address(1)).unwrap(), Arrival { id, evicted: None });
            places.prove(id, Standing::Runner).unwrap();
        }
        assert_eq!(places.arrive(address(1)).unwrap().id, 4);
        assert_eq!(places.prove(4, Standing::Runner), Err(Full));
        assert_eq!(places.arrive(address(2)).unwrap().id, 5);
        assert_eq!(places.arrive(address(3)).unwrap(), Arrival { id: 6, evicted: Some(4) });
        places.prove(6, Standing::Admin).unwrap();
        places.prove(5, Standing::Admin).unwrap();
        assert_eq!(places.arrive(address(3)), Err(Full));
        places.leave(0);
        assert!(places.arrive(address(3)).is_ok());
        assert!(places.prove(7, Standing::Runner).is_ok());
    }
}
