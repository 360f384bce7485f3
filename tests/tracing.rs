//! What `tracing` is told of the bus: spans of emissions, events of failures; and what a bad subscriber can do to the bus.

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::Duration;

use common::{Bomb, Log, caught, fail, in_time, keep, strict_bus};
use hearken::{Builder, Clock, Context, Emitter, Failure, Overflow, Retry};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Event, Level, Metadata, Span, dispatcher, info, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context as Scope, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

struct Begin;

#[derive(Clone)]
struct Next;

const NEXT: &str = "tracing::Next";

/// What was recorded, by field.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    fn of(record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut fields = Self::default();
        record(&mut fields);
        fields
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

/// When a subscriber is told something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    New,
    Enter,
    Exit,
    Close,
    Event,
}

/// Something that a subscriber was told.
#[derive(Clone, PartialEq, Debug)]
struct Told {
    moment: Moment,
    /// The span that it is about, or that an event is in: its number.
    span: Option<u64>,
    /// The span that a new one is in.
    parent: Option<u64>,
    name: &'static str,
    level: Level,
    target: String,
    fields: Fields,
}

/// Writes down all that it is told, and then does something.
struct Teller<F> {
    log: Log<Told>,
    does: F,
}

impl<F: Fn(Moment) + 'static> Teller<F> {
    fn tell(
        &self,
        moment: Moment,
        metadata: &'static Metadata<'static>,
        fields: Fields,
        [span, parent]: [Option<Id>; 2],
    ) {
        self.log.add(Told {
            moment,
            span: span.map(|id| id.into_u64()),
            parent: parent.map(|id| id.into_u64()),
            name: metadata.name(),
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            fields,
        });
        (self.does)(moment);
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>, F: Fn(Moment) + 'static> Layer<S> for Teller<F> {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, scope: Scope<'_, S>) {
        let parent = scope.span(id).and_then(|span| Some(span.parent()?.id()));
        self.tell(Moment::New, span.metadata(), Fields::of(|visit| span.record(visit)), [Some(id.clone()), parent]);
    }

    fn on_enter(&self, id: &Id, scope: Scope<'_, S>) {
        let metadata = scope.metadata(id).expect("it lives");
        self.tell(Moment::Enter, metadata, Fields::default(), [Some(id.clone()), None]);
    }

    fn on_exit(&self, id: &Id, scope: Scope<'_, S>) {
        let metadata = scope.metadata(id).expect("it lives");
        self.tell(Moment::Exit, metadata, Fields::default(), [Some(id.clone()), None]);
    }

    fn on_close(&self, id: Id, scope: Scope<'_, S>) {
        let metadata = scope.metadata(&id).expect("it lives until then");
        self.tell(Moment::Close, metadata, Fields::default(), [Some(id), None]);
    }

    fn on_event(&self, event: &Event<'_>, scope: Scope<'_, S>) {
        let current = scope.lookup_current().map(|span| span.id());
        self.tell(Moment::Event, event.metadata(), Fields::of(|visit| event.record(visit)), [current, None]);
    }
}

/// A subscriber that is told everything down to this level, and what it was told; it does this besides.
fn subscriber(level: LevelFilter, does: impl Fn(Moment) + Send + Sync + 'static) -> (Dispatch, Log<Told>) {
    let log = Log::new();
    let subscriber = Registry::default().with(level).with(Teller { log: log.clone(), does });
    (Dispatch::new(subscriber), log)
}

fn tracing<R>(dispatch: &Dispatch, run: impl FnOnce() -> R) -> R {
    dispatcher::with_default(dispatch, run)
}

/// What is traced while this runs.
fn traced(run: impl FnOnce()) -> Vec<Told> {
    let (dispatch, log) = subscriber(LevelFilter::TRACE, |_| {});
    tracing(&dispatch, run);
    log.take()
}

/// The spans of emissions, as they were made.
fn emissions(told: &[Told]) -> Vec<&Told> {
    told.iter().filter(|told| told.moment == Moment::New && told.name == "emission").collect()
}

/// What happened to this span, and in it.
fn life_of(span: Option<u64>, told: &[Told]) -> Vec<Moment> {
    told.iter().filter(|told| told.span == span).map(|told| told.moment).collect()
}

/// The one event of this message.
#[track_caller]
fn event<'a>(message: &str, told: &'a [Told]) -> &'a Told {
    let events: Vec<_> = told.iter().filter(|told| told.moment == Moment::Event).collect();
    let found: Vec<_> = events.iter().filter(|told| told.fields.get("message") == Some(message)).collect();
    let [one] = found[..] else { panic!("{} of {message:?} in {events:#?}", found.len()) };
    one
}

fn fields<const N: usize>(fields: [(&'static str, Option<String>); N]) -> Fields {
    Fields(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

#[expect(clippy::unnecessary_wraps, reason = "other fields may have no value")]
fn text(text: impl ToString) -> Option<String> {
    Some(text.to_string())
}

/// A place in this file, so many lines behind the caller's.
#[track_caller]
fn below(lines: u32) -> String {
    let here = Location::caller();
    format!("{}:{}", here.file(), here.line() + lines)
}

/// The fields of an emission's span, as its context tells them.
fn of_context(event: &str, cx: &Context<'_>) -> Fields {
    fields([
        ("event", text(event)),
        ("topic", cx.topic().map(str::to_owned)),
        ("id", text(cx.id())),
        ("cause", cx.cause().map(|cause| cause.to_string())),
        ("origin", text(cx.origin())),
        ("depth", text(cx.depth())),
        ("place", text(format_args!("{}:{}", cx.emitted_at().file(), cx.emitted_at().line()))),
    ])
}

// Spans

#[test]
fn every_emission_has_a_span_with_what_a_context_says_of_it() {
    let (bus, log) = (strict_bus(), Log::new());
    let (begins, nexts) = (log.clone(), log.clone());
    let _begin = bus.on_with(move |_: &Begin, cx| {
        begins.add(of_context("tracing::Begin", cx));
        cx.emitter().topic("a.b").emit(&Next);
        cx.emitter().port().emit(&Next);
    });
    let _next = bus.on_with(move |_: &Next, cx| nexts.add(of_context(NEXT, cx)));
    let told = traced(|| {
        bus.emit(&Begin);
    });
    let spans = emissions(&told);
    assert_eq!(spans.iter().map(|span| span.fields.clone()).collect::<Vec<_>>(), log.take());
    for span in spans {
        assert_eq!((span.name, span.level, &*span.target), ("emission", Level::DEBUG, "hearken"));
    }
}

#[test]
fn a_span_is_entered_while_its_listeners_run_and_closed_behind_them() {
    let bus = strict_bus();
    let _one = bus.on(|_: &Begin| info!("one"));
    let _two = bus.on(|_: &Begin| info!("two"));
    let told = traced(|| {
        bus.emit(&Begin);
    });
    let span = emissions(&told)[0].span;
    assert_eq!(told.len(), life_of(span, &told).len());
    let moments = [Moment::New, Moment::Enter, Moment::Event, Moment::Event, Moment::Exit, Moment::Close];
    assert_eq!(life_of(span, &told), moments);
}

#[test]
fn a_span_is_in_that_of_the_emission_or_of_the_listener_that_emits() {
    let bus = strict_bus();
    let _begin = bus.on_with(|_: &Begin, cx| {
        cx.emitter().emit(&Next);
        info_span!("mine").in_scope(|| cx.emitter().emit(&Next));
    });
    let told = traced(|| {
        bus.emit(&Begin);
    });
    let [begin, inside, behind_mine] = emissions(&told)[..] else { panic!("three emissions") };
    let mine = told.iter().find(|told| told.name == "mine").expect("it was made");
    assert_eq!((begin.parent, inside.parent), (None, begin.span));
    assert_eq!((mine.parent, behind_mine.parent), (begin.span, mine.span));
}

#[test]
fn an_event_that_nobody_ever_listened_to_has_a_span_too() {
    struct Nobodys;
    let bus = strict_bus();
    let told = traced(|| {
        assert_eq!(bus.emit(&Nobodys).heard, 0);
    });
    assert!(emissions(&told)[0].fields.get("event").is_some_and(|event| event.ends_with("Nobodys")));
    assert_eq!(life_of(emissions(&told)[0].span, &told).len(), 4);
}

#[test]
fn what_is_drained_has_a_span_while_it_is_delivered_and_not_before() {
    let bus = strict_bus();
    let _begin = bus.on_with(|_: &Begin, cx| cx.emitter().topic("a").defer(Next).unwrap());
    let _next = bus.on(|_: &Next| info!("heard"));
    let first = traced(|| {
        bus.emit(&Begin);
    });
    let second = traced(|| keep(&bus.drain()));
    let (begin, next) = (emissions(&first)[0], emissions(&second)[0]);
    assert_eq!((emissions(&first).len(), emissions(&second).len()), (1, 1));
    // The span of its cause is closed by now, and so none that it could be in. Its fields join them.
    assert_eq!(next.parent, None);
    assert_eq!(next.fields.get("cause"), begin.fields.get("id"));
    assert_eq!(next.fields.get("origin"), begin.fields.get("id"));
    assert_eq!(next.fields.get("topic"), Some("a"));
    assert_eq!(event("heard", &second).span, next.span);
}

#[test]
fn each_of_several_events_from_one_place_has_a_span_of_its_own_and_none_is_in_anothers() {
    let bus = strict_bus();
    let _next = bus.on(|_: &Next| info!("heard"));
    (0..2).for_each(|_| bus.defer(Next).unwrap());
    let told = traced(|| keep(&bus.drain()));
    let [one, two] = emissions(&told)[..] else { panic!("two were delivered") };
    assert_eq!((one.parent, two.parent), (None, None));
    let moments = [Moment::New, Moment::Enter, Moment::Event, Moment::Exit, Moment::Close];
    let lives = [one, two].map(|of| life_of(of.span, &told));
    assert!(lives.iter().flatten().eq(moments.iter().chain(&moments)), "{told:?}");
}

#[test]
fn a_timers_firing_has_a_span_of_its_own_every_time() {
    let clock = Clock::manual();
    let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
    let told = traced(|| {
        let place = below(1);
        let _timer = bus.defer_every(Duration::from_secs(1), Next);
        for _ in 0..2 {
            clock.advance(Duration::from_secs(1));
            bus.drain();
        }
        keep(&place);
    });
    let [one, two] = emissions(&told)[..] else { panic!("it fired twice") };
    assert_ne!((one.span, one.fields.get("id")), (two.span, two.fields.get("id")));
    assert_eq!(one.fields.get("place"), two.fields.get("place"));
}

#[test]
fn a_deferred_listeners_turn_enters_the_span_of_its_emission_again_on_whatever_thread() {
    let bus = strict_bus();
    let _now = bus.on(|_: &Next| info!("now"));
    let _late = bus.listen().deferred().on(|_: &Next| info!("late"));
    let (dispatch, log) = subscriber(LevelFilter::TRACE, |_| {});
    tracing(&dispatch, || bus.emit(&Next));
    thread::scope(|threads| threads.spawn(|| tracing(&dispatch, || bus.drain())).join().expect("no panic"));
    let told = log.take();
    let span = emissions(&told)[0].span;
    assert_eq!(emissions(&told).len(), 1);
    assert_eq!((event("now", &told).span, event("late", &told).span), (span, span));
    let moments: Vec<_> = life_of(span, &told).into_iter().filter(|moment| *moment != Moment::Event).collect();
    let [enter, exit] = [Moment::Enter, Moment::Exit];
    assert_eq!(moments, [Moment::New, enter, exit, enter, exit, Moment::Close]);
}

#[test]
fn a_turn_that_never_comes_closes_its_span() {
    let goes: [fn(Emitter); 3] = [
        |bus| keep(&bus.discard_pending()),
        |bus| drop(bus),
        |bus| {
            bus.off_all();
            bus.drain();
        },
    ];
    for goes in goes {
        let bus = Emitter::new(hearken::ignore);
        bus.listen().deferred().on(|_: &Next| {}).detach();
        let told = traced(|| {
            bus.emit(&Next);
            goes(bus);
        });
        let moments = [Moment::New, Moment::Enter, Moment::Exit, Moment::Close];
        assert_eq!(life_of(emissions(&told)[0].span, &told), moments);
    }
}

#[test]
fn a_turn_enters_no_span_if_its_emission_had_none() {
    let bus = strict_bus();
    let _late = bus.listen().deferred().on(|_: &Next| {});
    bus.emit(&Next);
    assert_eq!(traced(|| keep(&bus.drain())), []);
}

#[test]
fn a_span_is_left_behind_a_panic_of_a_listener() {
    let bus = Emitter::new(hearken::ignore);
    let _panics = bus.on(|_: &Begin| panic!("on purpose"));
    let told = traced(|| {
        bus.emit(&Begin);
        bus.emit(&Begin);
    });
    let [one, two] = emissions(&told)[..] else { panic!("two emissions") };
    assert_eq!((one.parent, two.parent), (None, None));
    assert_eq!(life_of(one.span, &told), life_of(two.span, &told));
}

#[test]
fn ids_in_spans_are_those_that_a_context_displays() {
    let (bus, log) = (strict_bus(), Log::new());
    let ids = log.clone();
    let _ids = bus.on_with(move |_: &Begin, cx| ids.add(cx.id()));
    let told = traced(|| {
        bus.emit(&Begin);
    });
    let id = log.take()[0];
    assert_eq!(emissions(&told)[0].fields.get("id"), Some(&*id.to_string()));
    assert_eq!(format!("{id:?}"), format!("EmissionId({id})"));
}

// Levels

#[test]
fn nothing_is_made_when_the_level_is_off() {
    let bus = Emitter::builder().max_depth(1).build(hearken::ignore);
    let _fails = bus.on(|_: &Begin| fail("on purpose"));
    let _late = bus.listen().deferred().on(|_: &Next| {});
    let _nests = bus.on_with(|_: &Begin, cx| keep(&cx.emitter().emit(&Next)));
    for level in [LevelFilter::OFF, LevelFilter::INFO] {
        let (dispatch, log) = subscriber(level, |_| {});
        tracing(&dispatch, || {
            bus.emit(&Begin);
            bus.emit(&Next);
            bus.defer(Next).unwrap();
            bus.drain();
        });
        assert_eq!(log.take(), []);
    }
}

#[test]
fn hearken_log_tells_at_error_level_what_the_bus_tells_at_debug_level() {
    let bus = Emitter::new(hearken::log);
    let _fails = bus.listen().named("billing").on(|_: &Begin| fail("card declined"));
    for (level, events) in
        [(LevelFilter::INFO, vec![Level::ERROR]), (LevelFilter::DEBUG, vec![Level::DEBUG, Level::ERROR])]
    {
        let (dispatch, log) = subscriber(level, |_| {});
        tracing(&dispatch, || bus.emit(&Begin));
        let told = log.take();
        let told: Vec<_> = told.iter().filter(|told| told.moment == Moment::Event).map(|told| told.level).collect();
        assert_eq!(told, events);
    }
}

// Failures

/// What is traced when this is done to a bus of this make, with an error channel that says nothing.
fn troubled(make: Builder, does: impl FnOnce(&Emitter)) -> Vec<Told> {
    let bus = make.build(hearken::ignore);
    traced(|| does(&bus))
}

/// The event of a failure is at debug level, in the span of the emission that failed.
#[track_caller]
fn tells_of_it(told: &[Told], message: &str, expected: Fields) {
    let event = event(message, told);
    assert_eq!((event.level, &*event.target), (Level::DEBUG, "hearken"));
    let mut fields = event.fields.clone();
    fields.0.remove("message");
    assert_eq!(fields, expected);
}

/// The field of the emission of a `T` that came first.
#[track_caller]
fn of_first(told: &[Told], event: &str, field: &str) -> Option<String> {
    let spans = emissions(told);
    let span = spans.iter().find(|span| span.fields.get("event") == Some(event)).expect("it was emitted");
    span.fields.get(field).map(str::to_owned)
}

#[test]
fn a_listeners_error_is_an_event_in_the_span_of_its_emission() {
    let (told, who, place) = {
        let mut known = None;
        let told = troubled(Emitter::builder(), |bus| {
            let who = format!("billing ({})", below(1));
            let _fails = bus.listen().named("billing").on(|_: &Next| fail("on purpose"));
            known = Some((who, below(1)));
            bus.topic("a").emit(&Next);
        });
        let (who, place) = known.expect("it ran");
        (told, who, place)
    };
    let id = of_first(&told, NEXT, "id");
    let expected = fields([
        ("listener", text(who)),
        ("event", text(NEXT)),
        ("topic", text("a")),
        ("place", text(place)),
        ("id", id.clone()),
        ("origin", id),
    ]);
    tells_of_it(&told, "a listener failed", expected);
    assert_eq!(event("a listener failed", &told).span, emissions(&told)[0].span);
}

#[test]
fn a_listeners_panic_is_an_event_with_its_message() {
    let mut known = None;
    let told = troubled(Emitter::builder(), |bus| {
        let who = below(1);
        let _panics = bus.on(|_: &Next| panic!("on purpose"));
        known = Some((who, below(1)));
        bus.emit(&Next);
    });
    let (who, place) = known.expect("it ran");
    let id = of_first(&told, NEXT, "id");
    let expected = fields([
        ("listener", text(who)),
        ("event", text(NEXT)),
        ("place", text(place)),
        ("id", id.clone()),
        ("origin", id),
        ("panic", text("on purpose")),
    ]);
    tells_of_it(&told, "a listener panicked", expected);
}

#[test]
fn what_goes_too_deep_is_an_event_that_names_its_cause() {
    let told = troubled(Emitter::builder().max_depth(1), |bus| {
        let _nests = bus.on_with(|_: &Begin, cx| keep(&cx.emitter().topic("a").emit(&Next)));
        bus.emit(&Begin);
    });
    let begin = of_first(&told, "tracing::Begin", "id");
    let place = event("an emission went too deep", &told).fields.get("place").map(str::to_owned);
    assert!(place.as_deref().is_some_and(|place| place.starts_with("tests/tracing.rs:")));
    let expected = fields([
        ("event", text(NEXT)),
        ("topic", text("a")),
        ("place", place),
        ("cause", begin.clone()),
        ("origin", begin),
        ("limit", text(1)),
    ]);
    tells_of_it(&told, "an emission went too deep", expected);
}

#[test]
fn what_a_queue_loses_is_an_event() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let mut known = None;
        let told = troubled(Emitter::builder().queue(1, overflow), |bus| {
            known = Some(below(if overflow == Overflow::DropOldest { 1 } else { 2 }));
            bus.topic("a").defer(Next).unwrap();
            bus.topic("a").defer(Next).unwrap();
        });
        let expected = fields([("event", text(NEXT)), ("topic", text("a")), ("place", known), ("missed", text(1))]);
        tells_of_it(&told, "events were lost", expected);
    }
}

#[test]
fn a_gap_in_an_inbox_is_an_event() {
    let told = troubled(Emitter::builder(), |bus| {
        let inbox = bus.listen::<Next>().named("slow").capacity(1).overflow(Overflow::DropNewest).inbox();
        for _ in 0..3 {
            bus.emit(&Next);
        }
        keep(&inbox.recv());
    });
    let lost = event("events were lost", &told);
    let second = emissions(&told)[1];
    assert_eq!((lost.fields.get("id"), lost.fields.get("missed")), (second.fields.get("id"), Some("2")));
    assert!(lost.fields.get("listener").is_some_and(|who| who.starts_with("slow (tests/tracing.rs:")));
}

#[test]
fn what_is_lost_with_a_bus_is_an_event() {
    let bus = Emitter::new(hearken::ignore);
    bus.defer(Next).unwrap();
    bus.defer(1_u8).unwrap();
    let told = traced(|| drop(bus));
    let lost = event("events were lost", &told);
    assert_eq!((lost.fields.get("event"), lost.fields.get("missed")), (Some("deferred events"), Some("2")));
}

#[test]
fn a_clone_of_a_timers_event_that_panics_is_an_event() {
    struct Fragile;
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            panic!("it broke")
        }
    }
    let clock = Clock::manual();
    let told = troubled(Emitter::builder().clock(clock.clone()), |bus| {
        let _timer = bus.defer_every(Duration::from_secs(1), Fragile);
        clock.advance(Duration::from_secs(1));
        bus.drain();
    });
    let broke = event("the clone of an event panicked", &told);
    assert_eq!((broke.fields.get("panic"), broke.fields.get("listener")), (Some("it broke"), None));
}

#[test]
fn a_failure_is_told_of_before_its_own_listeners_hear_of_it() {
    let told = troubled(Emitter::builder(), |bus| {
        let _hears = bus.on_failure(|_| info!("heard"));
        let _fails = bus.on(|_: &Next| fail("on purpose"));
        bus.emit(&Next);
    });
    let place = |told: &[Told], is: &dyn Fn(&Told) -> bool| told.iter().position(is).expect("it was told");
    let failed = place(&told, &|told| told.fields.get("message") == Some("a listener failed"));
    let heard = place(&told, &|told| told.fields.get("message") == Some("heard"));
    assert!(failed < heard);
    let of_failure = emissions(&told)[1];
    assert_eq!(of_failure.fields.get("cause"), emissions(&told)[0].fields.get("id"));
    assert_eq!((of_failure.parent, told[heard].span), (emissions(&told)[0].span, of_failure.span));
}

#[test]
fn a_suspected_leak_is_a_warning_with_the_event_and_the_number() {
    let bus = Emitter::builder().leak_warning(2).build(hearken::panic);
    let told = traced(|| {
        for _ in 0..3 {
            bus.on(|_: &Next| {}).detach();
        }
    });
    let [leak] = &told[..] else { panic!("one warning: {told:#?}") };
    assert_eq!((leak.level, &*leak.target), (Level::WARN, "hearken"));
    assert_eq!((leak.fields.get("event"), leak.fields.get("listeners")), (Some(NEXT), Some("3")));
}

#[test]
fn an_attempt_that_is_not_the_last_is_an_event_and_so_is_a_dead_letter() {
    let clock = Clock::manual();
    let mut known = None;
    let told = troubled(Emitter::builder().clock(clock.clone()), |bus| {
        known = Some(format!("billing ({})", below(2)));
        let retry = Retry::attempts(2).backoff(Duration::from_secs(1));
        let _fails = bus.listen().named("billing").retry(retry).on(|_: &Next| fail("on purpose"));
        bus.topic("a").emit(&Next);
        clock.advance(Duration::from_secs(1));
        bus.drain();
    });
    let [first, second] = emissions(&told)[..] else { panic!("a span for each attempt") };
    let of = |calls| {
        [
            ("event", text(NEXT)),
            ("topic", text("a")),
            ("listener", known.clone()),
            ("id", first.fields.get("id").map(str::to_owned)),
            ("calls", text(calls)),
        ]
    };
    let (retry, dead) = ("a listener failed and will be called again", "an event became a dead letter");
    let mut expected = fields(of(1));
    expected.0.insert("delay", "1s".to_owned());
    tells_of_it(&told, retry, expected);
    tells_of_it(&told, dead, fields(of(2)));
    assert_eq!((event(retry, &told).span, event(dead, &told).span), (first.span, second.span));
    assert_eq!(event("a listener failed", &told).span, second.span, "the last failure alone is one");
}

#[test]
fn overdue_retries_are_a_warning() {
    let clock = Clock::manual();
    let bus = Emitter::builder().clock(clock.clone()).build(hearken::panic);
    let _fails = bus.listen().retry(Retry::attempts(2)).on(|_: &Next| fail("on purpose"));
    bus.emit(&Next);
    clock.advance(Duration::from_secs(60));
    let told = traced(|| keep(&bus.emit(&Next)));
    let warning = told.iter().find(|told| told.level == Level::WARN).expect("a warning");
    let message = warning.fields.get("message").expect("it has one");
    assert!(warning.target == "hearken" && message.contains("call `drain` now and then"), "{message}");
}

// Bad subscribers

const MOMENTS: [Moment; 5] = [Moment::New, Moment::Enter, Moment::Exit, Moment::Close, Moment::Event];

/// A bus whose listeners emit further, fail, hear later; and what it does with that, told by its listeners and reports.
fn busy() -> (Emitter, Log<String>) {
    let (log, bus) = (Log::new(), Emitter::new(hearken::ignore));
    let (begins, lates, fails) = (log.clone(), log.clone(), log.clone());
    bus.on_with(move |_: &Begin, cx| {
        let emission = cx.emitter().emit(&Next);
        begins.add(format!("begin at {}, next {}", cx.depth(), emission.heard));
    })
    .detach();
    bus.on(|_: &Next| fail("on purpose")).detach();
    bus.listen().deferred().on(move |_: &Next| lates.add("late".to_owned())).detach();
    bus.on_failure(move |failure: &Failure| fails.add(failure.to_string())).detach();
    (bus, log)
}

/// Has it do all of it, twice.
fn use_it(bus: &Emitter) {
    for _ in 0..2 {
        assert_eq!(bus.emit(&Begin).heard, 1);
        assert_eq!(bus.drain().delivered, 1);
    }
}

/// Panics then; but not while it unwinds already, where a layer's panic is more than `tracing-subscriber` itself survives.
fn panics(bad: Moment) -> impl Fn(Moment) + Send + Sync + 'static {
    move |moment| assert!(moment != bad || thread::panicking(), "on purpose")
}

#[test]
fn a_subscriber_that_panics_changes_nothing_for_the_bus() {
    let (bus, log) = busy();
    use_it(&bus);
    let expected = log.take();
    for bad in MOMENTS {
        let (dispatch, told) = subscriber(LevelFilter::TRACE, panics(bad));
        assert_eq!(caught(|| tracing(&dispatch, || use_it(&bus))), None, "{bad:?}");
        assert_eq!(log.take(), expected, "{bad:?}");
        assert!(told.take().iter().any(|told| told.moment == bad));
        // Neither the frame nor the span that was current stayed behind.
        use_it(&bus);
        assert_eq!(log.take(), expected, "{bad:?}");
        assert!(tracing(&dispatch, || Span::current().is_none()), "{bad:?}");
    }
}

#[test]
fn a_subscriber_may_panic_while_the_thread_unwinds_with_what_panics_when_it_is_dropped() {
    struct Emits(Emitter);
    impl Drop for Emits {
        fn drop(&mut self) {
            use_it(&self.0);
        }
    }
    let (bus, log) = busy();
    use_it(&bus);
    let expected = log.take();
    for bad in [Moment::New, Moment::Enter, Moment::Exit, Moment::Event] {
        let panics = move |moment| {
            if moment == bad {
                std::panic::panic_any(Bomb("a payload"))
            }
        };
        let (dispatch, _) = subscriber(LevelFilter::TRACE, panics);
        let panic = caught(|| {
            tracing(&dispatch, || {
                let _emits = Emits(bus.clone());
                panic!("the test's own");
            });
        });
        assert_eq!(panic.map(|panic| panic.message).as_deref(), Some("the test's own"));
        assert_eq!(log.take(), expected, "{bad:?}");
    }
}

#[test]
fn a_subscriber_that_emits_is_not_told_of_that_and_so_for_ever() {
    for bad in MOMENTS {
        let (bus, log) = busy();
        use_it(&bus);
        let expected = log.take();
        let (other, heard) = (strict_bus(), Log::new());
        let depths = heard.clone();
        other.on_with(move |_: &u64, cx| depths.add(cx.depth())).detach();
        let (emits, same) = (other.clone(), bus.downgrade());
        let (dispatch, told) = subscriber(LevelFilter::TRACE, move |moment| {
            if moment == bad {
                emits.emit(&7_u64);
                same.upgrade().map(|bus| bus.emit(&"unheard"));
            }
        });
        in_time({
            let (dispatch, bus) = (dispatch.clone(), bus.clone());
            move || tracing(&dispatch, || use_it(&bus))
        });
        assert_eq!(log.take(), expected, "{bad:?}");
        let told = told.take();
        let times = told.iter().filter(|told| told.moment == bad).count();
        assert_eq!(heard.take().len(), times, "{bad:?}");
        let events: Vec<_> = emissions(&told).iter().filter_map(|span| span.fields.get("event")).collect();
        assert!(!events.contains(&"u64") && !events.contains(&"&str"), "{events:?}");
    }
}

#[test]
fn a_subscriber_may_use_all_of_the_bus_because_no_lock_is_held_over_it() {
    for bad in MOMENTS {
        let (bus, log) = busy();
        let weak = bus.downgrade();
        let (dispatch, _) = subscriber(LevelFilter::TRACE, move |moment| {
            let Some(bus) = weak.upgrade().filter(|_| moment == bad) else { return };
            // On another thread too, where a lock that this one holds would be waited for.
            let elsewhere = bus.clone();
            let uses = |bus: &Emitter| {
                let subscription = bus.on(|_: &Next| {});
                bus.emit(&"unheard");
                keep(&(bus.listen::<Next>().count(), bus.pending()));
                subscription.pause();
                assert!(subscription.off());
                bus.defer(1_u8).unwrap();
                bus.defer_in(Duration::from_secs(1), 1_u8).cancel();
            };
            uses(&bus);
            thread::spawn(move || uses(&elsewhere)).join().expect("no panic");
        });
        in_time(move || {
            tracing(&dispatch, || {
                bus.emit(&Begin);
                bus.drain();
                bus.discard_pending();
            });
        });
        assert!(!log.take().is_empty());
    }
}

#[test]
fn a_span_that_a_subscriber_lets_go_of_is_closed() {
    let bus = strict_bus();
    let _late = bus.listen().deferred().on(|_: &Next| {});
    let weak = bus.downgrade();
    let (dispatch, log) = subscriber(LevelFilter::TRACE, move |moment| {
        if moment == Moment::Event {
            weak.upgrade().expect("it is traced").discard_pending();
        }
    });
    tracing(&dispatch, || {
        bus.emit(&Next);
        info!("discard it");
    });
    let told = log.take();
    assert_eq!(life_of(emissions(&told)[0].span, &told).last(), Some(&Moment::Close));
}

#[test]
fn spans_may_be_made_on_many_threads_at_once() {
    let bus = strict_bus();
    let _late = bus.listen().deferred().on(|_: &Next| {});
    let (dispatch, log) = subscriber(LevelFilter::TRACE, |_| {});
    let (done, is_done) = channel::<()>();
    thread::scope(|threads| {
        let (bus, dispatch) = (&bus, &dispatch);
        threads.spawn(move || {
            tracing(dispatch, || {
                while is_done.try_recv().is_err_and(|error| error == TryRecvError::Empty) {
                    bus.drain();
                }
                bus.drain();
            });
        });
        let emitting: Vec<_> = (0..2)
            .map(|_| threads.spawn(move || tracing(dispatch, || (0..500).for_each(|_| keep(&bus.emit(&Next))))))
            .collect();
        for thread in emitting {
            thread.join().expect("no panic");
        }
        drop(done);
    });
    let told = log.take();
    let count = |moment| told.iter().filter(|told| told.moment == moment).count();
    assert_eq!(MOMENTS.map(count), [1_000, 2_000, 2_000, 1_000, 0]);
}

// Async

#[cfg(feature = "async")]
mod futures {
    use common::step_aside;
    use futures_executor::block_on;
    use hearken::{BoxFuture, WeakEmitter};

    use super::*;

    /// Has the futures of `Next`'s listeners emit before and behind a wait.
    fn emits(bus: &Emitter) {
        let weak: WeakEmitter = bus.downgrade();
        bus.on_async(move |_: Next| {
            let weak = weak.clone();
            async move {
                let bus = weak.upgrade().expect("a bus");
                bus.emit(&1_u8);
                step_aside().await;
                bus.emit(&2_u8);
            }
        })
        .detach();
    }

    #[track_caller]
    fn is_entered_for_every_poll(told: &[Told]) {
        let [next, one, two] = emissions(told)[..] else { panic!("three emissions") };
        assert_eq!((next.parent, one.parent, two.parent), (None, next.span, next.span));
        let [enter, exit] = [Moment::Enter, Moment::Exit];
        // For the emission, and for two polls.
        assert_eq!(life_of(next.span, told), [Moment::New, enter, exit, enter, exit, enter, exit, Moment::Close]);
    }

    #[test]
    fn an_awaited_emissions_span_is_entered_whenever_its_futures_are_polled() {
        let bus = strict_bus();
        emits(&bus);
        let told = traced(|| {
            block_on(bus.emit_async(&Next));
        });
        is_entered_for_every_poll(&told);
    }

    #[test]
    fn a_spawned_futures_span_is_that_of_its_emission_on_whatever_thread() {
        let (dispatch, log) = subscriber(LevelFilter::TRACE, |_| {});
        let (give, given) = channel::<BoxFuture>();
        let bus = Emitter::builder().spawner(move |future| give.send(future).expect("taken")).build(hearken::panic);
        emits(&bus);
        tracing(&dispatch, || bus.emit(&Next));
        let future = given.recv().expect("one");
        thread::spawn({
            let dispatch = dispatch.clone();
            move || tracing(&dispatch, || block_on(future))
        })
        .join()
        .expect("no panic");
        is_entered_for_every_poll(&log.take());
    }

    #[test]
    fn a_future_that_is_dropped_closes_its_span() {
        let bus = strict_bus();
        bus.on_async(|_: Next| std::future::pending::<()>()).detach();
        let told = traced(|| {
            let (_, waker) = common::Wakes::new();
            let mut emission = Box::pin(bus.emit_async(&Next));
            assert!(common::poll(&mut emission, &waker).is_pending());
        });
        assert_eq!(life_of(emissions(&told)[0].span, &told).last(), Some(&Moment::Close));
    }

    #[test]
    fn what_run_async_delivers_has_a_span() {
        let bus = strict_bus();
        bus.defer(Next).unwrap();
        bus.close();
        let told = traced(|| block_on(bus.run_async()));
        assert_eq!(emissions(&told).len(), 1);
    }

    #[test]
    fn a_future_that_nobody_runs_is_an_event() {
        let told = troubled(Emitter::builder(), |bus| {
            bus.on_async(|_: Next| async {}).detach();
            bus.emit(&Next);
        });
        let nobody = event("nobody runs the future of an async listener", &told);
        assert_eq!((nobody.level, nobody.fields.get("event")), (Level::DEBUG, Some(NEXT)));
    }

    #[test]
    fn a_future_that_fails_is_an_event_in_the_span_of_its_emission() {
        let told = troubled(Emitter::builder(), |bus| {
            bus.on_async(|_: Next| async {
                step_aside().await;
                fail("on purpose")
            })
            .detach();
            block_on(bus.emit_async(&Next));
        });
        assert_eq!(event("a listener failed", &told).span, emissions(&told)[0].span);
    }

    #[test]
    fn a_subscriber_that_panics_changes_nothing_for_futures() {
        let bus = strict_bus();
        emits(&bus);
        let log = Log::new();
        let heard = log.clone();
        bus.on_with(move |n: &u8, cx| heard.add((*n, cx.depth()))).detach();
        for bad in MOMENTS {
            let (dispatch, _) = subscriber(LevelFilter::TRACE, panics(bad));
            tracing(&dispatch, || block_on(bus.emit_async(&Next)));
            assert_eq!(log.take(), [(1, 2), (2, 2)], "{bad:?}");
        }
    }
}
