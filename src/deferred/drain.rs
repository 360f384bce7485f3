//! Delivering what waits.

use crate::dispatch;
use crate::errors::raise_if_outermost;
use crate::handle::Emitter;
use crate::queue::{Claim, Claims, Lane, Limit, drop_all, lost};
use crate::raw::backlog::Backlog;
use crate::raw::frame;

/// What came of a drain.
///
/// ```
/// let bus = hearken::Emitter::new(hearken::log);
/// bus.defer("one")?;
/// bus.defer("two")?;
/// let drained = bus.drain();
/// assert_eq!((drained.delivered, drained.remaining), (2, 0));
/// # Ok::<(), hearken::DeferError<&str>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Drained {
    /// How many events were delivered, whoever heard them: those that were deferred, those of timers, and each deferred listener's turn.
    pub delivered: usize,
    /// How many wait now.
    pub remaining: usize,
}

/// Delivers what waits, up to a limit.
#[track_caller]
pub(crate) fn drain<E: Send + Sync + 'static>(emitter: &Emitter<E>, limit: Limit) -> Drained {
    let drained = drain_quietly(emitter, limit);
    raise_if_outermost();
    match drained {
        Some((drained, _)) => drained,
        None => Drained { delivered: 0, remaining: emitter.bus().queue().pending() },
    }
}

const ENOUGH: usize = 100;

/// The same, again and again until nothing is left, or so many events were delivered.
#[track_caller]
pub(crate) fn drain_until_idle<E: Send + Sync + 'static>(emitter: &Emitter<E>, limit: usize) -> Drained {
    let mut sum = Drained { delivered: 0, remaining: emitter.bus().queue().pending() };
    // Rounds in which all that waited turned out not to be for delivery. Its destructors may defer, but not for ever.
    let mut idle_rounds = 0;
    while sum.delivered < limit && idle_rounds < ENOUGH {
        let Some((drained, went)) = drain_quietly(emitter, Limit::Events(limit - sum.delivered)) else { break };
        sum = Drained { delivered: sum.delivered + drained.delivered, ..drained };
        if went == 0 {
            break;
        }
        idle_rounds = if drained.delivered == 0 { idle_rounds + 1 } else { 0 };
    }
    raise_if_outermost();
    sum
}

/// What came of it, and how many entries it went through. None if somebody drains already.
fn drain_quietly<E: Send + Sync + 'static>(emitter: &Emitter<E>, limit: Limit) -> Option<(Drained, usize)> {
    let (backlog, claims) = emitter.bus().queue().begin(emitter, limit)?;
    let mut drain = Drain { backlog, claims, is_over: false };
    drain.deliver();
    let remaining = drain.end();
    Some((Drained { delivered: drain.claims.delivered, remaining }, drain.claims.at))
}

/// Delivers what waits, and what comes meanwhile, until nothing is left or `is_over` says so. Whether nobody else drained.
pub(crate) fn drain_on<E: Send + Sync + 'static>(emitter: &Emitter<E>, is_over: impl Fn() -> bool) -> bool {
    let Some((backlog, claims)) = emitter.bus().queue().begin(emitter, Limit::None) else { return false };
    let mut drain = Drain { backlog, claims, is_over: false };
    loop {
        drain.deliver();
        let must_end = is_over() || frame::is_raising();
        let queue = emitter.bus().queue();
        let mut go_on = || queue.go_on(&mut drain.backlog, &mut drain.claims);
        if must_end || !(go_on() || queue.linger() && go_on()) {
            drain.end();
            return true;
        }
    }
}

/// The right to drain, and what is to be delivered. Dropped, it gives both back.
struct Drain<'a, E: Send + Sync + 'static> {
    backlog: Backlog<dyn Lane<E>>,
    claims: Claims<'a, E>,
    is_over: bool,
}

impl<E: Send + Sync + 'static> Drain<'_, E> {
    fn deliver(&mut self) {
        let _clean_up = self.claims.emitter.bus().clean_up();
        let mut claim = self.claims.next();
        while let Claim::Event(at) = claim {
            self.pass_over(at);
            let Some((lane, run)) = self.backlog.front() else { return };
            let next = lane.deliver(run, &mut self.claims);
            self.backlog.tidy();
            claim = next.unwrap_or_else(|| self.claims.next());
        }
    }

    /// Lets go of the events before this one, which were dropped meanwhile, and reports those that a full queue dropped.
    fn pass_over(&mut self, end: usize) {
        if self.claims.at == end {
            return;
        }
        let emitter = self.claims.emitter;
        let bus = emitter.bus();
        let mut overdue = bus.queue().take_overdue(end - self.claims.at);
        while self.claims.at < end {
            let Some((lane, mut run)) = self.backlog.front() else { return };
            self.claims.at += 1;
            let failure = (overdue > 0 && lane.is_wanted()).then(|| lost(lane.event(), run.topic, run.from, 1));
            overdue = overdue.saturating_sub(1);
            let panics = lane.discard();
            run.took();
            self.backlog.tidy();
            bus.errors.suppress(panics);
            if let Some(failure) = failure {
                dispatch::report(emitter, failure);
            }
        }
    }

    /// How many events wait now.
    fn end(&mut self) -> usize {
        loop {
            match self.claims.emitter.bus().queue().end(&mut self.backlog, self.claims.at) {
                Ok(pending) => {
                    self.is_over = true;
                    return pending;
                }
                Err(dropped) => self.pass_over(dropped),
            }
        }
    }
}

impl<E: Send + Sync + 'static> Drop for Drain<'_, E> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end();
        }
    }
}

pub(crate) fn discard_pending<E: Send + Sync + 'static>(emitter: &Emitter<E>) -> usize {
    let _clean_up = emitter.bus().clean_up();
    let (pending, mut backlogs) = emitter.bus().queue().take_pending();
    emitter.bus().errors.suppress(backlogs.iter_mut().map(|backlog| drop_all(backlog, |_| {})).sum());
    pending
}

#[track_caller]
pub(crate) fn close<E: Send + Sync + 'static>(emitter: &Emitter<E>) {
    for alarm in emitter.bus().queue().close() {
        alarm.give_up(emitter);
    }
    raise_if_outermost();
}
