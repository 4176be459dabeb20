//! The search for a legal order of the operations of one object.
//!
//! J. Wing and C. Gong, "Testing and verifying concurrent objects" (1993), with the memory of G.
//! Lowe, "Testing for linearizability" (2017), and the list of A. Horn and D. Kroening, "Faster
//! linearizability checking via P-compositionality" (2015): the candidates for the next operation
//! are those invoked before the first return of an operation that has not been taken. The first
//! legal candidate is taken and its two events are removed from the list; if no candidate is legal,
//! the last operation taken is put back. A set of operations that led to the same object before is
//! not tried again.

use std::collections::{HashMap, HashSet};

use crate::register::{Effect, Register};
use crate::time::Time;

/// An operation of one object.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) invoked: Time,
    /// `None` if the effect may take place at any later time, or never.
    pub(crate) returned: Option<Time>,
    pub(crate) effect: Effect,
}

/// The result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Legal,
    Illegal,
    /// The bound was reached.
    Unknown,
}

/// Searches for a legal order of these operations on an object with this initial state. Gives up
/// after `bound` steps.
pub(crate) fn search(initial: Register, operations: &[Operation], bound: usize) -> Verdict {
    let mut search = Search::new(initial, operations);
    for _ in 0..bound {
        if search.owed == 0 {
            return Verdict::Legal;
        }
        let tried_all = match search.candidate() {
            Some(number) => {
                search.take_or_skip(number);
                false
            }
            None => !search.put_back(),
        };
        if tried_all {
            return Verdict::Illegal;
        }
    }
    Verdict::Unknown
}

struct Search<'a> {
    operations: &'a [Operation],
    /// Operations that returned.
    events: Events,
    /// Optional operations. Those of the same effect are interchangeable once invoked, so it is
    /// sufficient to take them in the order of their invocations.
    alike: Vec<Alike>,
    cursor: Cursor,
    object: Register,
    taken: Bits,
    /// The operations taken.
    order: Vec<Taken>,
    /// Number of operations that returned and have not been taken.
    owed: usize,
    tried: HashSet<(Bits, Register)>,
}

/// The candidate for the next operation: first those that returned, in the order of their
/// invocations, then one of each set of optional operations.
#[derive(Clone, Copy)]
enum Cursor {
    Event(usize),
    Alike(usize),
}

/// Optional operations of the same effect, by their invocations.
struct Alike {
    operations: Vec<usize>,
    taken: usize,
}

struct Taken {
    number: usize,
    at: Cursor,
    /// The object before the operation.
    before: Register,
}

impl<'a> Search<'a> {
    fn new(object: Register, operations: &'a [Operation]) -> Self {
        let events = Events::of(operations);
        let returned = operations.iter().filter(|it| it.returned.is_some());
        Self {
            operations,
            alike: alike(operations),
            cursor: Cursor::Event(events.first()),
            owed: returned.count(),
            events,
            object,
            taken: Bits::empty(operations.len()),
            order: Vec::new(),
            tried: HashSet::new(),
        }
    }

    /// Returns the operation at the cursor, after advancing the cursor past operations that cannot
    /// be next.
    fn candidate(&mut self) -> Option<usize> {
        if let Cursor::Event(event) = self.cursor {
            if let Some(number) = Events::operation_invoked_at(event) {
                return Some(number);
            }
            self.cursor = Cursor::Alike(0);
        }
        let first_return = self.events.first_return();
        while let Cursor::Alike(set) = self.cursor {
            let alike = self.alike.get(set)?;
            let next = alike.operations.get(alike.taken);
            let invoked = |number: &&usize| self.operations[**number].invoked <= first_return;
            if let Some(number) = next.filter(invoked) {
                return Some(*number);
            }
            self.cursor = Cursor::Alike(set + 1);
        }
        None
    }

    /// Takes an operation as the next one, if that is legal and was not tried before.
    fn take_or_skip(&mut self, number: usize) {
        let before = self.object;
        let after = before.apply(self.operations[number].effect);
        let optional = matches!(self.cursor, Cursor::Alike(_));
        let useful = |after: &Register| !optional || *after != before;
        let Some(after) = after.filter(useful) else {
            return self.skip();
        };
        self.taken.flip(number);
        if !self.tried.insert((self.taken.clone(), after)) {
            self.taken.flip(number);
            return self.skip();
        }
        match self.cursor {
            Cursor::Event(_) => {
                self.events.remove(number);
                self.owed -= 1;
            }
            Cursor::Alike(set) => self.alike[set].taken += 1,
        }
        self.object = after;
        self.order.push(Taken {
            number,
            at: self.cursor,
            before,
        });
        self.cursor = Cursor::Event(self.events.first());
    }

    fn skip(&mut self) {
        self.cursor = match self.cursor {
            Cursor::Event(event) => Cursor::Event(self.events.after(event)),
            Cursor::Alike(set) => Cursor::Alike(set + 1),
        };
    }

    /// Puts the last operation back, to take a later one in its place. Returns `false` if there is
    /// no operation to put back.
    fn put_back(&mut self) -> bool {
        let Some(Taken { number, at, before }) = self.order.pop() else {
            return false;
        };
        self.object = before;
        self.taken.flip(number);
        match at {
            Cursor::Event(_) => {
                self.events.restore(number);
                self.owed += 1;
            }
            Cursor::Alike(set) => self.alike[set].taken -= 1,
        }
        self.cursor = at;
        self.skip();
        true
    }
}

fn alike(operations: &[Operation]) -> Vec<Alike> {
    let mut sets: HashMap<Effect, Vec<usize>> = HashMap::new();
    for (number, operation) in operations.iter().enumerate() {
        if operation.returned.is_none() {
            sets.entry(operation.effect).or_default().push(number);
        }
    }
    let mut alike: Vec<Alike> = sets
        .into_values()
        .map(|mut set| {
            set.sort_by_key(|number| operations[*number].invoked);
            Alike {
                operations: set,
                taken: 0,
            }
        })
        .collect();
    // Sorted, so that the order is deterministic.
    alike.sort_by_key(|set| set.operations[0]);
    alike
}

/// A doubly linked list of the invocations and returns of the operations that returned, ordered by
/// time. Events are numbers: [`Events::HEAD`], then two for each operation. The last event is
/// followed by the head.
struct Events {
    next: Vec<usize>,
    previous: Vec<usize>,
    times: Vec<Time>,
}

impl Events {
    const HEAD: usize = 0;

    fn of(operations: &[Operation]) -> Self {
        let size = 2 * operations.len() + 1;
        let mut events = Self {
            next: vec![Self::HEAD; size],
            previous: vec![Self::HEAD; size],
            times: vec![Time(u64::MAX); size],
        };
        let mut timed = Vec::with_capacity(size);
        for (number, operation) in operations.iter().enumerate() {
            if let Some(returned) = operation.returned {
                let invocation = Self::invocation(number);
                timed.push((operation.invoked, false, invocation));
                timed.push((returned, true, invocation + 1));
            }
        }
        // At the same time, invocations come first: then the two operations are concurrent.
        timed.sort_unstable();
        for (time, _, event) in timed {
            let last = events.previous[Self::HEAD];
            events.times[event] = time;
            events.previous[event] = last;
            events.link(event);
        }
        events
    }

    fn invocation(operation: usize) -> usize {
        2 * operation + 1
    }

    fn first(&self) -> usize {
        self.next[Self::HEAD]
    }

    fn after(&self, event: usize) -> usize {
        self.next[event]
    }

    /// Returns `None` for a return and for the end.
    fn operation_invoked_at(event: usize) -> Option<usize> {
        (event % 2 == 1).then_some(event / 2)
    }

    fn first_return(&self) -> Time {
        let mut event = self.first();
        while Self::operation_invoked_at(event).is_some() {
            event = self.after(event);
        }
        self.times[event]
    }

    fn remove(&mut self, operation: usize) {
        let invocation = Self::invocation(operation);
        self.unlink(invocation);
        self.unlink(invocation + 1);
    }

    /// Undoes the latest removal that has not been undone.
    fn restore(&mut self, operation: usize) {
        let invocation = Self::invocation(operation);
        self.link(invocation + 1);
        self.link(invocation);
    }

    fn unlink(&mut self, event: usize) {
        let (previous, next) = (self.previous[event], self.next[event]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn link(&mut self, event: usize) {
        let (previous, next) = (self.previous[event], self.next[event]);
        self.next[previous] = event;
        self.previous[next] = event;
    }
}

/// A set of operations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bits(Vec<u64>);

impl Bits {
    fn empty(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)])
    }

    fn flip(&mut self, number: usize) {
        self.0[number / 64] ^= 1 << (number % 64);
    }
}
