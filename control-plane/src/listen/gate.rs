//! The gate: places of connections and calls, and memory for bodies.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::address::{ProxyRange, is_proxy};
use super::places::{Arrival, Full, Numbers, Places, Standing};
use crate::lacks::Lacks;
use crate::limits::Limits;

/// The one that calls are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Token([u8; 32]),
    Address(IpAddr),
}

/// Unit of memory for bodies, in bytes.
const UNIT: usize = 1024;

/// Archives that are made larger at the same time: the largest append to output each.
const DECODERS: usize = 16;

/// State that all connections share.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) limits: Limits,
    /// Calls that were put off.
    pub(crate) lacks: Lacks,
    /// Looks of claims at the queue of their class.
    pub(crate) looks: AtomicU64,
    /// Files that the process may have open.
    pub(crate) open_files: u64,
    pub(super) proxies: Vec<ProxyRange>,
    connections: Mutex<Connections>,
    calls: Mutex<HashMap<Key, usize>>,
    anonymous_bodies: Arc<Semaphore>,
    runner_bodies: Arc<Semaphore>,
    admin_bodies: Arc<Semaphore>,
    /// Held by who decompresses.
    pub(crate) decoders: Semaphore,
}

#[derive(Debug)]
struct Connections {
    places: Places,
    /// Tells a connection that it lost its place.
    evict: HashMap<u64, oneshot::Sender<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    /// Makes the gate of a process that may have so many files open.
    pub(crate) fn new(limits: Limits, open_files: u64, proxies: Vec<ProxyRange>) -> Self {
        let limits = limits.within(open_files);
        let numbers = Numbers {
            total: limits.connections,
            kept: limits.kept_connections,
            per_address: limits.connections_per_address,
        };
        let room = |bytes: usize| Arc::new(Semaphore::new(bytes / UNIT));
        Self {
            limits,
            lacks: Lacks::default(),
            looks: AtomicU64::new(0),
            open_files,
            proxies,
            connections: Mutex::new(Connections {
                places: Places::new(numbers),
                evict: HashMap::new(),
            }),
            calls: Mutex::default(),
            anonymous_bodies: room(limits.anonymous_body_bytes),
            runner_bodies: room(limits.runner_body_bytes),
            admin_bodies: room(limits.admin_body_bytes),
            decoders: Semaphore::new(DECODERS),
        }
    }

    /// Gives a connection a place, and closes another one for it where it has to be.
    pub(super) fn arrive(&self, address: IpAddr) -> Result<(u64, oneshot::Receiver<()>), Full> {
        let counted = (!is_proxy(&self.proxies, address)).then(|| super::address::counted(address));
        let mut connections = lock(&self.connections);
        let Arrival { id, evicted } = connections.places.arrive(counted)?;
        if let Some(evicted) = evicted.and_then(|id| connections.evict.remove(&id)) {
            // It may have ended by itself.
            let _has_ended = evicted.send(());
        }
        let (sender, receiver) = oneshot::channel();
        connections.evict.insert(id, sender);
        Ok((id, receiver))
    }

    pub(super) fn prove(&self, id: u64, standing: Standing) -> Result<(), Full> {
        lock(&self.connections).places.prove(id, standing)
    }

    pub(super) fn leave(&self, id: u64) {
        let mut connections = lock(&self.connections);
        connections.places.leave(id);
        connections.evict.remove(&id);
    }

    /// Returns the number of connections that are open.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.connections).places.count()
    }

    /// Counts a call until the answer is dropped.
    pub(crate) fn call(self: &Arc<Self>, key: Key) -> Result<Call, Full> {
        let most = match key {
            Key::Token(_) => self.limits.calls_per_token,
            Key::Address(_) => self.limits.calls_per_address,
        };
        let mut calls = lock(&self.calls);
        let count = calls.entry(key.clone()).or_default();
        if *count >= most {
            return Err(Full);
        }
        *count += 1;
        drop(calls);
        Ok(Call { gate: Arc::clone(self), key })
    }

    /// Memory for the bodies of those who have no token (`None`), of runners or of administrators.
    pub(crate) fn room(&self, standing: Option<Standing>) -> Room {
        let bodies = match standing {
            None => &self.anonymous_bodies,
            Some(Standing::Runner) => &self.runner_bodies,
            Some(Standing::Admin) => &self.admin_bodies,
        };
        Room { bodies: Arc::clone(bodies), taken: None, units: 0 }
    }
}

/// A call that is counted.
#[derive(Debug)]
pub(crate) struct Call {
    gate: Arc<Gate>,
    key: Key,
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = lock(&self.gate.calls);
        if let Some(count) = calls.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                calls.remove(&self.key);
            }
        }
    }
}

/// Memory that is taken for one body as it comes, and given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    bodies: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
    units: usize,
}

impl Room {
    /// Takes memory for `bytes` in all. It is never waited for: those who hold some might wait for
    /// each other.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Full> {
        let wanted = bytes.div_ceil(UNIT);
        let more = wanted.saturating_sub(self.units);
        if more == 0 {
            return Ok(());
        }
        let number = u32::try_from(more).map_err(|_| Full)?;
        let permit = Arc::clone(&self.bodies).try_acquire_many_owned(number).map_err(|_| Full)?;
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            None => self.taken = Some(permit),
        }
        self.units = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_memory_are_given_back() {
        let limits =
            Limits { calls_per_address: 2, anonymous_body_bytes: 4 * UNIT, ..Limits::default() };
        let gate = Arc::new(Gate::new(limits, 65_536, Vec::new()));
        let key = Key::Address(IpAddr::from([10, 0, 0, 1]));
        let first = gate.call(key.clone()).unwrap();
        let _second = gate.call(key.clone()).unwrap();
        assert!(gate.call(key.clone()).is_err());
        drop(first);
        assert!(gate.call(key).is_ok());
        let mut room = gate.room(None);
        room.grow_to(1).unwrap();
        room.grow_to(3 * UNIT).unwrap();
        assert!(gate.room(None).grow_to(2 * UNIT).is_err());
        assert!(gate.room(Some(Standing::Admin)).grow_to(2 * UNIT).is_ok());
        drop(room);
        assert!(gate.room(None).grow_to(4 * UNIT).is_ok());
    }
}
