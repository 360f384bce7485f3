//! Events in a row, as a mailbox keeps them.

use std::collections::VecDeque;
use std::iter;
use std::panic::Location;
use std::sync::Arc;

use crate::context::Scene;
use crate::envelope::{Envelope, FromEnvelope};
use crate::id::EmissionId;

/// First in, first out. Between two threads what counts is how many bytes go from one to the other, so what events in a row have in common is
/// kept once for all of them.
pub(super) struct Row<T> {
    events: VecDeque<(T, EmissionId)>,
    /// The last one stays when its events are gone: perhaps it goes on.
    runs: VecDeque<Run>,
}

/// What events in a row have in common.
struct Run {
    len: usize,
    topic: Option<Arc<str>>,
    cause: Option<EmissionId>,
    /// None: each is its own.
    origin: Option<EmissionId>,
    emitted_at: &'static Location<'static>,
}

/// What is known of an event beside its emission's name.
struct Mark<'a> {
    topic: Option<&'a str>,
    cause: Option<EmissionId>,
    origin: Option<EmissionId>,
    emitted_at: &'static Location<'static>,
}

impl Run {
    /// The place is compared by its address: its text is long. Who have a cause in common have its origin, so that isn't compared. To compare a
    /// whole [`From`](crate::chain::From) took 2 % more of an emission to a stream.
    #[inline]
    fn is_of(&self, mark: &Mark<'_>) -> bool {
        std::ptr::eq(self.emitted_at, mark.emitted_at)
            && self.cause == mark.cause
            && self.topic.as_deref() == mark.topic
    }
}

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self { events: VecDeque::new(), runs: VecDeque::new() }
    }
}

impl<T> Row<T> {
    pub(super) fn into_events(self) -> impl Iterator<Item = T> {
        self.events.into_iter().map(|(event, _)| event)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Begins at the beginning of its memory again, which the caches know. It must be empty.
    pub(super) fn rewind(&mut self) {
        debug_assert!(self.is_empty(), "events would be dropped here");
        self.events.clear();
    }

    /// Puts this event of an emission last.
    #[inline]
    pub(super) fn push<E>(&mut self, event: T, scene: &Scene<'_, E>) {
        let Scene { topic, emitted_at, ref place, .. } = *scene;
        let origin = (place.origin != place.id).then_some(place.origin);
        self.put(event, place.id, &Mark { topic, cause: place.cause, origin, emitted_at });
    }

    pub(super) fn push_envelope(&mut self, envelope: Envelope<T>) {
        let Envelope { event, topic, id, cause, origin, emitted_at } = envelope;
        let origin = (origin != id).then_some(origin);
        self.put(event, id, &Mark { topic: topic.as_deref(), cause, origin, emitted_at });
    }

    #[inline]
    fn put(&mut self, event: T, id: EmissionId, mark: &Mark<'_>) {
        // Made where it stays: to be moved there, it would cost more than to be made.
        self.events.extend(iter::once_with(|| (event, id)));
        match self.runs.back_mut() {
            Some(run) if run.is_of(mark) => run.len += 1,
            _ => self.begin_run(mark),
        }
    }

    #[inline(never)]
    fn begin_run(&mut self, mark: &Mark<'_>) {
        let Mark { topic, cause, origin, emitted_at } = *mark;
        let topic = match self.runs.back() {
            Some(last) if last.topic.as_deref() == topic => last.topic.clone(),
            _ => topic.map(Into::into),
        };
        self.runs.push_back(Run { len: 1, topic, cause, origin, emitted_at });
    }

    /// Takes the first one out.
    #[inline]
    pub(super) fn take<I: FromEnvelope<T>>(&mut self) -> Option<I> {
        let (event, id) = self.events.pop_front()?;
        while self.runs.len() > 1 && self.runs[0].len == 0 {
            self.runs.pop_front();
        }
        let run = self.runs.front_mut()?;
        run.len -= 1;
        Some(I::of(event, |event| {
            let Run { ref topic, cause, origin, emitted_at, .. } = *run;
            Envelope { event, topic: topic.clone(), id, cause, origin: origin.unwrap_or(id), emitted_at }
        }))
    }
}
