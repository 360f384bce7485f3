//! What a thread is in the middle of: the emission that runs on it, and what that one came of.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use smallvec::SmallVec;

use crate::chain::Chain;
use crate::id::EmissionId;
use crate::sync::thread_cells;

/// Where a thread stands. One per thread, put back by the guard of whoever changed it.
#[derive(Clone, Copy)]
struct Frame {
    /// The address of the bus whose emission or clean-up this is; 0 outside of all.
    bus: usize,
    /// The innermost emission and the first of its chain. Some, where the depth isn't 0.
    id: Option<EmissionId>,
    origin: Option<EmissionId>,
    /// The depth, in units of [`LEVEL`], and the modes: in one word, because every emission writes it twice.
    state: u64,
}

impl Frame {
    fn depth(self) -> usize {
        (self.state / LEVEL) as usize
    }

    fn is(self, mode: u64) -> bool {
        self.state & mode != 0
    }
}

/// Below the delivery of a `Failure`.
const FAILURE: u64 = 1;
/// Below an error channel.
const CHANNEL: u64 = 1 << 1;
/// A panic waits for the outermost emission to end. Goes outwards, unlike the others.
const RAISE: u64 = 1 << 2;
const LEVEL: u64 = 1 << 3;

// None of them has a destructor to register, so they can be used in other thread-locals' destructors too.
thread_cells! {
    static FRAME: Cell<Frame> = Cell::new(Frame { bus: 0, id: None, origin: None, state: 0 });
    /// The buses further out than the frame's, where they aren't the same. Empty, it owns nothing.
    static OUTER: ManuallyDrop<RefCell<SmallVec<[usize; 6]>>> =
        ManuallyDrop::new(RefCell::new(SmallVec::new_const()));
    static WAITING: ManuallyDrop<Cell<String>> = ManuallyDrop::new(Cell::new(String::new()));
}

#[inline]
fn frame() -> Frame {
    FRAME.with(Cell::get)
}

#[inline]
fn set_frame(frame: Frame) {
    FRAME.with(|cell| cell.set(frame));
}

/// What a new emission is a part of.
pub(crate) struct Place {
    pub(crate) cause: Option<EmissionId>,
    pub(crate) depth: usize,
    pub(crate) id: EmissionId,
    pub(crate) origin: EmissionId,
}

impl Place {
    /// The same, as what is still to come of the emission carries it.
    pub(crate) fn chain(&self) -> Chain {
        Chain { id: Some(self.id), cause: self.cause, origin: Some(self.origin) }
    }
}

/// Puts the thread back where it was.
pub(crate) struct Guard {
    outer: Frame,
    /// Whether the outer bus was noted in `OUTER`.
    noted: bool,
    /// It belongs to this thread.
    _here: PhantomData<*const ()>,
}

impl Guard {
    /// Puts the thread back for so long. What is done may not panic.
    #[inline]
    pub(crate) fn outside<R>(&self, act: impl FnOnce() -> R) -> R {
        let inner = frame();
        set_frame(self.outer);
        let done = act();
        set_frame(Frame { state: inner.state | frame().state & RAISE, ..inner });
        done
    }

    /// Ends the emission that it was made for, and begins one that is a part of this chain in its stead.
    #[inline]
    pub(crate) fn begin_next(&self, chain: Chain) -> Place {
        let last = frame();
        let id = chain.id.unwrap_or_else(EmissionId::next);
        let origin = chain.origin.unwrap_or(id);
        set_frame(Frame { id: Some(id), origin: Some(origin), ..last });
        Place { id, cause: chain.cause, origin, depth: self.outer.depth() + 1 }
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        let state = self.outer.state | frame().state & RAISE;
        set_frame(Frame { state, ..self.outer });
        if self.noted {
            forget_outer();
        }
    }
}

/// How many emissions are nested on this thread, of all buses.
#[inline]
pub(crate) fn depth() -> usize {
    frame().depth()
}

/// Begins an emission that is a part of this chain. `of_failure`: what it delivers is a `Failure`.
#[inline]
pub(crate) fn begin_emission(bus: usize, of_failure: bool, chain: Chain) -> (Place, Guard) {
    let outer = frame();
    let id = chain.id.unwrap_or_else(EmissionId::next);
    let origin = chain.origin.unwrap_or(id);
    let state = (outer.state + LEVEL) | if of_failure { FAILURE } else { 0 };
    let inner = Frame { bus, id: Some(id), origin: Some(origin), state };
    (Place { id, cause: chain.cause, origin, depth: inner.depth() }, enter(outer, inner))
}

/// What an event that is emitted or deferred now is a part of.
#[inline]
pub(crate) fn chain() -> Chain {
    let frame = frame();
    Chain { id: None, cause: frame.id, origin: frame.origin }
}

/// What tells this thread from all others that live.
pub(crate) fn thread() -> usize {
    FRAME.with(|cell| std::ptr::from_ref(cell).addr())
}

/// While the guard lives, this thread may hold listeners of this bus that are about to go.
pub(crate) fn begin_clean_up(bus: usize) -> Guard {
    let outer = frame();
    enter(outer, Frame { bus, ..outer })
}

/// While the guard lives, an error channel runs on this thread.
pub(crate) fn begin_report() -> Guard {
    let outer = frame();
    enter(outer, Frame { state: outer.state | CHANNEL, ..outer })
}

#[inline]
fn enter(outer: Frame, inner: Frame) -> Guard {
    let noted = outer.bus != 0 && outer.bus != inner.bus;
    if noted {
        note_outer(outer.bus);
    }
    set_frame(inner);
    Guard { outer, noted, _here: PhantomData }
}

/// Apart, and given no more than it needs, so that a frame stays in registers.
#[cold]
#[inline(never)]
fn note_outer(bus: usize) {
    OUTER.with(|buses| buses.borrow_mut().push(bus));
}

#[cold]
fn forget_outer() {
    OUTER.with(|buses| {
        let mut buses = buses.borrow_mut();
        buses.pop();
        if buses.is_empty() {
            *buses = SmallVec::new();
        }
    });
}

/// Whether this thread is inside an emission, or a clean-up, of this bus.
pub(crate) fn is_inside(bus: usize) -> bool {
    frame().bus == bus || OUTER.with(|buses| buses.borrow().contains(&bus))
}

pub(crate) fn is_below_failure() -> bool {
    frame().is(FAILURE)
}

pub(crate) fn is_below_channel() -> bool {
    frame().is(CHANNEL)
}

/// Has the outermost emission on this thread end with a panic of this message.
pub(crate) fn raise_at_the_end(message: &str) {
    WAITING.with(|waiting| {
        let mut text = waiting.take();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(message);
        waiting.set(text);
    });
    let inner = frame();
    set_frame(Frame { state: inner.state | RAISE, ..inner });
}

/// Whether a panic waits for the outermost emission to end.
pub(crate) fn is_raising() -> bool {
    frame().is(RAISE)
}

/// What to panic with now that an emission has ended: something only if it was the outermost.
#[inline]
pub(crate) fn take_raised() -> Option<String> {
    let outer = frame();
    (outer.is(RAISE) && outer.depth() == 0).then(|| {
        set_frame(Frame { state: outer.state & !RAISE, ..outer });
        WAITING.with(|waiting| waiting.take())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(bus: usize, of_failure: bool) -> (Place, Guard) {
        begin_emission(bus, of_failure, chain())
    }

    #[test]
    fn a_chain_of_emissions_shares_its_origin_and_each_names_its_cause() {
        let (first, _first) = begin(1, false);
        assert_eq!((first.cause, first.origin, first.depth), (None, first.id, 1));
        let (second, _second) = begin(2, false);
        assert_eq!((second.cause, second.origin, second.depth), (Some(first.id), first.id, 2));
    }

    #[test]
    fn a_thread_knows_every_bus_it_is_inside_of() {
        assert!(!is_inside(1));
        {
            let _one = begin(1, false);
            let _one_again = begin(1, false);
            let _two = begin_clean_up(2);
            let _report = begin_report();
            let _three = begin(3, false);
            assert!(is_inside(1) && is_inside(2) && is_inside(3) && !is_inside(4));
        }
        assert!(!is_inside(1) && !is_inside(2) && !is_inside(3));
        assert_eq!(depth(), 0);
    }

    #[test]
    fn only_another_bus_further_out_is_noted() {
        let (_, one) = begin(1, false);
        let (_, one_again) = begin(1, false);
        assert!(!one.noted && !one_again.noted);
        let (_, two) = begin(2, false);
        assert!(two.noted && is_inside(1) && is_inside(2));
        drop((two, one_again, one));
        assert!(!is_inside(1));
    }

    #[test]
    fn a_mode_inside_itself_stays() {
        let _failure = begin(1, true);
        let _failure_again = begin(1, true);
        assert!(is_below_failure());
        let _report = begin_report();
        let _report_again = begin_report();
        assert!(is_below_channel());
    }

    #[test]
    fn modes_go_inwards_and_end_with_their_guard() {
        {
            let _failure = begin(1, true);
            let _event = begin(1, false);
            assert!(is_below_failure() && !is_below_channel());
            let _report = begin_report();
            let _event = begin(1, false);
            assert!(is_below_failure() && is_below_channel());
        }
        assert!(!is_below_failure() && !is_below_channel());
    }

    #[test]
    fn a_raised_message_waits_for_the_outermost_emission() {
        {
            let _outer = begin(1, false);
            {
                let _inner = begin(1, false);
                raise_at_the_end("one");
                raise_at_the_end("two");
            }
            assert_eq!(take_raised(), None);
            drop(begin(1, false));
        }
        assert_eq!(take_raised().as_deref(), Some("one\ntwo"));
        assert_eq!(take_raised(), None);
    }
}
