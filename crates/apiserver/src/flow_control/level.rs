//! A priority level: its seats, and the queues of the flows that wait for them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::Overload;

/// The divisor for the share of one flow: a flow holds at most a quarter of the seats.
const SHARE: usize = 4;

/// The maximum number of waiting requests of one flow.
const QUEUE: usize = 100;

/// The maximum number of waiting requests of all flows of a level.
const QUEUES: usize = 2000;

/// The maximum wait for a seat: a quarter of the request timeout, as in kube-apiserver.
const PATIENCE: Duration = Duration::from_secs(15);

/// A priority level: seats that flows share.
#[derive(Debug)]
pub(crate) struct Level {
    name: &'static str,
    seats: usize,
    /// The maximum number of seats of one flow.
    share: usize,
    /// The maximum number of waiting requests of one flow.
    queue: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    waiting: usize,
    /// The flows that hold seats or wait.
    flows: HashMap<Arc<str>, Flow>,
    /// The flows that wait, in the order in which they get a seat.
    turns: VecDeque<Arc<str>>,
}

#[derive(Debug, Default)]
struct Flow {
    taken: usize,
    queue: VecDeque<oneshot::Sender<Seat>>,
}

/// A seat. It is free again when its last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Seat(#[expect(dead_code, reason = "dropped, never read")] Arc<Taken>);

#[derive(Debug)]
struct Taken {
    level: Arc<Level>,
    flow: Arc<str>,
}

/// The state of a request in a level.
enum Place {
    Seated(Seat),
    Queued(oneshot::Receiver<Seat>),
}

impl Level {
    /// Creates a level whose requests wait for a seat. A level without seats rejects all requests.
    pub(crate) fn with_queues(name: &'static str, seats: usize) -> Arc<Self> {
        Self::new(name, seats, if seats == 0 { 0 } else { QUEUE })
    }

    /// Creates a level that rejects requests immediately if no seat is free.
    pub(crate) fn without_queues(name: &'static str, seats: usize) -> Arc<Self> {
        Self::new(name, seats, 0)
    }

    fn new(name: &'static str, seats: usize, queue: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            seats,
            share: seats.div_ceil(SHARE),
            queue,
            state: Mutex::default(),
        })
    }

    /// Returns the name of the level in metrics.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Takes a seat for a request of a flow, and waits for one if necessary. Dropping the future
    /// removes the request from the queue.
    pub(crate) async fn seat(self: &Arc<Self>, flow: &str) -> Result<Seat, Overload> {
        match self.enter(flow)? {
            Place::Seated(seat) => Ok(seat),
            Place::Queued(granted) => match tokio::time::timeout(PATIENCE, granted).await {
                Ok(Ok(seat)) => Ok(seat),
                Ok(Err(_)) | Err(_) => Err(Overload::TimedOut),
            },
        }
    }

    fn enter(self: &Arc<Self>, name: &str) -> Result<Place, Overload> {
        let mut state = self.state();
        let name = match state.flows.get_key_value(name) {
            Some((known, _)) => Arc::clone(known),
            None => name.into(),
        };
        let is_free = state.taken < self.seats;
        let flow = state.flows.entry(Arc::clone(&name)).or_default();
        if is_free && flow.taken < self.share && flow.queue.is_empty() {
            flow.taken += 1;
            state.taken += 1;
            return Ok(Place::Seated(self.seat_of(name)));
        }
        let place = state.enqueue(&name, self.queue);
        state.forget(&name);
        place.map(Place::Queued)
    }

    fn seat_of(self: &Arc<Self>, flow: Arc<str>) -> Seat {
        let level = Arc::clone(self);
        Seat(Arc::new(Taken { level, flow }))
    }

    fn release(self: &Arc<Self>, name: &Arc<str>) {
        let mut state = self.state();
        state.taken -= 1;
        if let Some(flow) = state.flows.get_mut(name) {
            flow.taken -= 1;
        }
        state.forget(name);
        let mut granted = Vec::new();
        while state.taken < self.seats {
            let Some(next) = state.grant(self.share) else {
                break;
            };
            granted.push(next);
        }
        drop(state);
        for (name, waiter) in granted {
            // The seat of a waiter that is gone is released when the send fails.
            let _ = waiter.send(self.seat_of(name));
        }
    }

    /// Locks the state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn enqueue(
        &mut self,
        name: &Arc<str>,
        length: usize,
    ) -> Result<oneshot::Receiver<Seat>, Overload> {
        if self.waiting >= QUEUES {
            self.drop_abandoned();
        }
        let is_full = self.waiting >= QUEUES;
        let flow = self.flows.entry(Arc::clone(name)).or_default();
        if flow.queue.len() >= length {
            let before = flow.queue.len();
            flow.queue.retain(|waiter| !waiter.is_closed());
            self.waiting -= before - flow.queue.len();
        }
        if is_full || flow.queue.len() >= length {
            return Err(Overload::QueueFull);
        }
        if flow.queue.is_empty() && !self.turns.contains(name) {
            self.turns.push_back(Arc::clone(name));
        }
        let (waiter, granted) = oneshot::channel();
        flow.queue.push_back(waiter);
        self.waiting += 1;
        Ok(granted)
    }

    /// Removes requests whose callers no longer wait.
    fn drop_abandoned(&mut self) {
        for flow in self.flows.values_mut() {
            flow.queue.retain(|waiter| !waiter.is_closed());
        }
        self.flows
            .retain(|_, flow| flow.taken > 0 || !flow.queue.is_empty());
        self.waiting = self.flows.values().map(|flow| flow.queue.len()).sum();
    }

    /// Takes a seat for the first waiting request of the next flow that may have another seat.
    fn grant(&mut self, share: usize) -> Option<(Arc<str>, oneshot::Sender<Seat>)> {
        for _ in 0..self.turns.len() {
            let name = self.turns.pop_front()?;
            let Some(flow) = self.flows.get_mut(&name) else {
                continue;
            };
            let mut granted = None;
            while flow.taken < share
                && granted.is_none()
                && let Some(waiter) = flow.queue.pop_front()
            {
                self.waiting -= 1;
                granted = Some(waiter).filter(|waiter| !waiter.is_closed());
            }
            if !flow.queue.is_empty() {
                self.turns.push_back(Arc::clone(&name));
            }
            if let Some(waiter) = granted {
                flow.taken += 1;
                self.taken += 1;
                return Some((name, waiter));
            }
            self.forget(&name);
        }
        None
    }

    /// Removes a flow that holds no seat and does not wait.
    fn forget(&mut self, name: &Arc<str>) {
        let is_idle = |flow: &Flow| flow.taken == 0 && flow.queue.is_empty();
        if self.flows.get(name).is_some_and(is_idle) {
            self.flows.remove(name);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.level.release(&self.flow);
    }
}

#[cfg(test)]
mod tests;
