//! What inboxes and streams keep, beside one plain list: whatever is emitted, awaited, given up and taken, and in whatever order.
#![cfg(feature = "async")]

mod common;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use allocation_counter::measure;
use common::{Log, in_time, on_both, reporting_bus, strict_bus};
use futures_core::Stream;
use futures_util::{FutureExt, StreamExt};
use hearken::{Emission, EmissionId, Emitter, Envelope, EventStream, Inbox, Overflow};
use proptest::prelude::*;

/// Its clones are counted.
#[derive(Clone, Debug)]
struct Event {
    number: u32,
    _alive: Arc<()>,
}

const TOPICS: [Option<&str>; 3] = [None, Some("a.b"), Some("a.c")];

#[derive(Clone, Copy, Debug)]
enum Step {
    /// On one of the topics.
    Emit(usize),
    Await(usize),
    /// One of those that wait, if there are so many.
    GiveUp(usize),
    Take,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let topic = 0..TOPICS.len();
    let step = prop_oneof![
        3 => topic.clone().prop_map(Step::Emit),
        2 => topic.prop_map(Step::Await),
        1 => (0..3_usize).prop_map(Step::GiveUp),
        3 => Just(Step::Take),
    ];
    prop::collection::vec(step, 1..120)
}

/// An inbox, or a stream.
trait Mailbox {
    /// Whether it is waited for.
    const IS_AWAITED: bool;
    fn begin(bus: &Emitter, capacity: usize, overflow: Overflow) -> Self;
    fn take(&mut self) -> Option<Envelope<Event>>;
    fn len(&self) -> usize;
    fn missed(&self) -> u64;
}

impl Mailbox for Inbox<Event, Envelope<Event>> {
    const IS_AWAITED: bool = false;

    fn begin(bus: &Emitter, capacity: usize, overflow: Overflow) -> Self {
        bus.listen::<Event>().capacity(capacity).overflow(overflow).inbox().envelopes()
    }

    fn take(&mut self) -> Option<Envelope<Event>> {
        self.try_recv().ok()
    }

    fn len(&self) -> usize {
        Inbox::len(self)
    }

    fn missed(&self) -> u64 {
        Inbox::missed(self)
    }
}

impl Mailbox for EventStream<Event, Envelope<Event>> {
    const IS_AWAITED: bool = true;

    fn begin(bus: &Emitter, capacity: usize, overflow: Overflow) -> Self {
        bus.listen::<Event>().capacity(capacity).overflow(overflow).stream().envelopes()
    }

    fn take(&mut self) -> Option<Envelope<Event>> {
        self.next().now_or_never().flatten()
    }

    fn len(&self) -> usize {
        self.size_hint().0
    }

    fn missed(&self) -> u64 {
        EventStream::missed(self)
    }
}

/// What a mailbox should be: numbers with their topics.
#[derive(Default)]
struct Model {
    kept: VecDeque<(u32, usize)>,
    waiting: VecDeque<(u32, usize)>,
    missed: u64,
    gap: u64,
    lost: Vec<String>,
}

impl Model {
    /// Whether it waits.
    fn send(&mut self, event: (u32, usize), capacity: usize, overflow: Overflow, may_wait: bool) -> bool {
        if self.kept.len() < capacity {
            self.kept.push_back(event);
        } else if overflow == Overflow::Block && may_wait {
            self.waiting.push_back(event);
            return true;
        } else {
            (self.missed, self.gap) = (self.missed + 1, self.gap + 1);
            if overflow == Overflow::DropOldest {
                self.kept.pop_front();
                self.kept.push_back(event);
            }
        }
        false
    }

    fn take(&mut self) -> Option<(u32, usize)> {
        let event = self.kept.pop_front()?;
        self.tell();
        self.kept.extend(self.waiting.pop_front());
        Some(event)
    }

    fn tell(&mut self) {
        match std::mem::take(&mut self.gap) {
            0 => {}
            gap => self.lost.push(format!("lost {gap} mailboxes::Event")),
        }
    }
}

type Awaited<'a> = Pin<Box<dyn Future<Output = Emission> + 'a>>;

fn is_one_list<M: Mailbox>(capacity: usize, overflow: Overflow, steps: &[Step]) -> Result<(), TestCaseError> {
    let (bus, failures): (Emitter, Log<String>) = reporting_bus(Emitter::builder());
    let mut mailbox = M::begin(&bus, capacity, overflow);
    let alive = Arc::new(());
    let events: Vec<_> = (0..).take(steps.len()).map(|number| Event { number, _alive: Arc::clone(&alive) }).collect();
    let mut model = Model::default();
    let mut awaited: Vec<(u32, Awaited<'_>)> = Vec::new();
    for (step, event) in steps.iter().zip(&events) {
        match *step {
            Step::Emit(topic) => {
                model.send((event.number, topic), capacity, overflow, false);
                let emission = match TOPICS[topic] {
                    None => bus.emit(event),
                    Some(topic) => bus.topic(topic).emit(event),
                };
                prop_assert_eq!(emission.heard, 1);
            }
            Step::Await(topic) => {
                let waits = model.send((event.number, topic), capacity, overflow, M::IS_AWAITED);
                let mut emission: Awaited<'_> = match TOPICS[topic] {
                    None => Box::pin(bus.emit_async(event)),
                    Some(topic) => Box::pin(bus.topic(topic).emit_async(event)),
                };
                prop_assert_eq!(emission.as_mut().now_or_never().is_none(), waits);
                if waits {
                    awaited.push((event.number, emission));
                }
            }
            Step::GiveUp(place) => {
                if place < awaited.len() {
                    let (number, emission) = awaited.remove(place);
                    drop(emission);
                    model.waiting.retain(|&(waiting, _)| waiting != number);
                }
            }
            Step::Take => {
                let taken = mailbox.take();
                let expected = model.take();
                let taken = taken.map(|taken| (taken.event.number, taken.topic));
                prop_assert_eq!(taken, expected.map(|(number, topic)| (number, TOPICS[topic].map(Into::into))));
            }
        }
        awaited.retain_mut(|(number, emission)| {
            let waits = emission.as_mut().now_or_never().is_none();
            assert_eq!(waits, model.waiting.iter().any(|(waiting, _)| waiting == number), "{number}");
            waits
        });
        let kept = model.kept.len() + model.waiting.len();
        prop_assert_eq!((mailbox.len(), mailbox.missed()), (kept, model.missed));
        prop_assert_eq!(Arc::strong_count(&alive) - 1 - events.len(), kept, "what is dropped is dropped at once");
    }
    drop(awaited);
    drop(mailbox);
    model.tell();
    prop_assert_eq!(failures.take(), model.lost);
    prop_assert_eq!(Arc::strong_count(&alive) - 1, events.len());
    Ok(())
}

fn overflow() -> impl Strategy<Value = Overflow> {
    prop::sample::select(&[Overflow::DropOldest, Overflow::DropNewest, Overflow::Reject, Overflow::Block][..])
}

proptest! {
    #[test]
    fn a_stream_is_one_bounded_list(capacity in 1..6_usize, overflow in overflow(), steps in steps()) {
        is_one_list::<EventStream<Event, Envelope<Event>>>(capacity, overflow, &steps)?;
    }

    #[test]
    fn an_inbox_is_one_bounded_list_that_nobody_waits_for(capacity in 1..6_usize, overflow in overflow(), steps in steps()) {
        is_one_list::<Inbox<Event, Envelope<Event>>>(capacity, overflow, &steps)?;
    }
}

/// What is known of an emission, of all that an envelope and a context have in common.
type Known = (u32, Option<String>, EmissionId, Option<EmissionId>, EmissionId, (&'static str, u32));

fn known_of(envelope: Envelope<u32>) -> Known {
    let Envelope { event, topic, id, cause, origin, emitted_at, .. } = envelope;
    (event, topic.as_deref().map(Into::into), id, cause, origin, (emitted_at.file(), emitted_at.line()))
}

/// Makes its listener emit the number twice, or another of these of a lower depth.
struct Outer {
    number: u32,
    depth: u32,
}

proptest! {
    #[test]
    fn an_envelope_says_what_the_context_of_a_listener_said(steps in prop::collection::vec((0..8_u8, 1..4_u32), 1..60)) {
        let (bus, heard) = (strict_bus(), Log::<Known>::new());
        let roomy = || bus.listen::<u32>().capacity(10_000);
        let (mut stream, inbox) = (roomy().stream().envelopes(), roomy().inbox().envelopes());
        let hears = heard.clone();
        let _hears = bus.on_with(move |&number: &u32, at| {
            let place = at.emitted_at();
            let topic = at.topic().map(String::from);
            hears.add((number, topic, at.id(), at.cause(), at.origin(), (place.file(), place.line())));
        });
        let _emits = bus.on_with(|&Outer { number, depth }: &Outer, at| {
            for _ in 0..2 {
                match depth.checked_sub(1) {
                    None => at.emitter().emit(&number),
                    Some(depth) => at.emitter().emit(&Outer { number, depth }),
                };
            }
        });
        let port = bus.port::<u32>();
        let (mut streamed, mut boxed) = (Vec::new(), Vec::new());
        for (number, (step, times)) in (0..).zip(steps) {
            for _ in 0..times {
                match step {
                    0 => _ = bus.emit(&number),
                    1 => _ = port.emit(&number),
                    2 => _ = bus.topic("a.b").emit(&number),
                    3 => _ = bus.topic("a.c").emit(&number),
                    4 => _ = bus.emit(&Outer { number, depth: times - 1 }),
                    5 => {
                        bus.defer(number).unwrap();
                        bus.defer(Outer { number, depth: 0 }).unwrap();
                        bus.drain();
                    }
                    6 => streamed.extend(stream.next().now_or_never().flatten().map(known_of)),
                    _ => boxed.extend(inbox.try_recv().ok().map(known_of)),
                }
            }
        }
        drop((bus, port));
        streamed.extend(std::iter::from_fn(|| stream.next().now_or_never().flatten()).map(known_of));
        boxed.extend(inbox.iter().map(known_of));
        let heard = heard.take();
        prop_assert_eq!(&streamed, &heard);
        prop_assert_eq!(&boxed, &heard);
    }
}

#[test]
fn an_event_on_the_topic_of_the_event_before_allocates_nothing() {
    let bus = strict_bus();
    let (mut stream, inbox) = (bus.stream::<u32>(), bus.inbox::<u32>());
    let topic = bus.topic("a.b");
    let _emits = bus.on_with(|&Outer { number, .. }: &Outer, at| {
        at.emitter().topic("a.b").emit(&number);
    });
    let mut go = || {
        for _ in 0..20 {
            for number in 0..10_u32 {
                topic.emit(&number);
                bus.emit(&Outer { number, depth: 0 }); // another cause each time, and another place
            }
            let streamed = std::iter::from_fn(|| stream.next().now_or_never().flatten()).count();
            let boxed = std::iter::from_fn(|| inbox.try_recv().ok()).count();
            assert_eq!((streamed, boxed), (20, 20));
        }
    };
    go();
    assert_eq!(measure(go).count_total, 0);
}

const BURSTS: u32 = 400;

/// Bursts of all lengths, close behind one another and with pauses between them.
fn emit_bursts(bus: &Emitter) -> u32 {
    let mut numbers = 0..;
    for burst in 0..BURSTS {
        for number in numbers.by_ref().take((burst * 7 % 61) as usize) {
            assert_eq!(bus.emit(&number).heard, 1);
        }
        match burst % 11 {
            0 => thread::sleep(Duration::from_micros(200)),
            1..4 => thread::yield_now(),
            _ => {}
        }
    }
    numbers.start
}

#[test]
fn a_stream_that_is_awaited_beside_bursts_gets_each_event_in_order_and_wakes_for_the_last() {
    on_both(|| async {
        let bus = strict_bus();
        let mut numbers = bus.listen::<u32>().capacity(100_000).stream();
        let emits = thread::spawn(move || emit_bursts(&bus));
        let mut next = 0;
        while let Some(number) = numbers.next().await {
            assert_eq!(number, next);
            next += 1;
        }
        assert_eq!(emits.join().unwrap(), next);
    });
}

#[test]
fn an_inbox_that_is_waited_for_beside_bursts_gets_each_event_in_order_and_wakes_for_the_last() {
    in_time(|| {
        let bus = strict_bus();
        let numbers = bus.listen::<u32>().capacity(100_000).inbox();
        let emits = thread::spawn(move || emit_bursts(&bus));
        let taken: Vec<_> = numbers.iter().collect();
        let sent = emits.join().unwrap();
        assert!(taken.into_iter().eq(0..sent));
    });
}
