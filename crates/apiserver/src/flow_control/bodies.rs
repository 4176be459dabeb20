//! The memory that request bodies use while they are read and processed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::Overload;

/// The maximum size of the bodies of one flow whose requests are in flight, in bytes: eight times
/// the largest body.
const PER_FLOW: usize = 24 << 20;

/// The maximum size of the bodies of all flows, in bytes. Decoding takes a multiple of it, but only
/// for a few bodies at a time.
const TOTAL: usize = 96 << 20;

/// The body bytes of all requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Bodies(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    flows: HashMap<Arc<str>, usize>,
}

/// The body bytes of one request. Dropping this frees them.
#[derive(Debug)]
pub(crate) struct Held {
    bodies: Arc<Bodies>,
    flow: Arc<str>,
    bytes: usize,
}

impl Bodies {
    /// Starts counting the body of a request.
    pub(crate) fn begin(self: &Arc<Self>, flow: &str) -> Held {
        Held {
            bodies: Arc::clone(self),
            flow: flow.into(),
            bytes: 0,
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock()
    }
}

impl Held {
    /// Counts bytes that have arrived. The announced length is not counted.
    ///
    /// # Errors
    /// The bodies of the flow, or of all flows, exceed their limit.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Overload> {
        let mut counts = self.bodies.counts();
        let of_flow = counts.flows.get(&self.flow).copied().unwrap_or(0) + bytes;
        if of_flow > PER_FLOW || counts.total + bytes > TOTAL {
            return Err(Overload::Bodies);
        }
        counts.flows.insert(Arc::clone(&self.flow), of_flow);
        counts.total += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.bodies.counts();
        counts.total -= self.bytes;
        let Some(of_flow) = counts.flows.get_mut(&self.flow) else {
            return;
        };
        *of_flow -= self.bytes;
        if *of_flow == 0 {
            counts.flows.remove(&self.flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_holds_a_quarter_of_the_memory() {
        let bodies = Arc::new(Bodies::default());
        let mut alice = bodies.begin("alice");
        assert_eq!(alice.add(PER_FLOW), Ok(()));
        assert_eq!(alice.add(1), Err(Overload::Bodies));
        let mut again = bodies.begin("alice");
        assert_eq!(again.add(1), Err(Overload::Bodies));
        assert_eq!(bodies.begin("bob").add(PER_FLOW), Ok(()));
        drop(alice);
        assert_eq!(again.add(PER_FLOW), Ok(()));
        drop(again);
        let counts = bodies.counts();
        assert_eq!((counts.total, counts.flows.len()), (0, 0));
    }

    #[test]
    fn all_flows_share_the_memory() {
        let bodies = Arc::new(Bodies::default());
        let mut held = Vec::new();
        for flow in ["a", "b", "c", "d"] {
            let mut body = bodies.begin(flow);
            assert_eq!(body.add(PER_FLOW), Ok(()));
            held.push(body);
        }
        assert_eq!(bodies.begin("e").add(1), Err(Overload::Bodies));
        held.pop();
        assert_eq!(bodies.begin("e").add(1), Ok(()));
    }
}
