//! The real bus as a [`Side`]: listeners are closures that call the world back.

use std::any::type_name;
use std::ops::ControlFlow;
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once};

use hearken::{
    AnyEvent, Builder, Cause, Context, DeferError, Emission, EmissionId, Emitter, Failure, IntoFlow, ListenerId, Port,
    Recorder, Subscription, WeakEmitter,
};

use super::program::{Answer, BUSES, Ear, Kind, Listener, OWNERS, Settings, Topic, Verb, Verdict};
use super::world::{Culprit, Drained, Failed, Heard, Refused, Report, Scene, Side, Why, World, panic_text};

/// What listeners return: the number of the listener that failed.
#[derive(Debug)]
pub(crate) struct Oops(usize);

#[derive(Clone)]
pub(crate) struct A(u32);
#[derive(Clone)]
pub(crate) struct B(Box<u32>);
#[derive(Clone)]
pub(crate) struct C(String);

#[derive(Default)]
pub(crate) struct Real {
    desk: Mutex<Desk>,
}

/// Locked for a look, never over a call to the bus.
#[derive(Default)]
struct Desk {
    buses: [Place; BUSES],
    owners: [Option<Arc<Owner>>; OWNERS],
    /// By the listeners' numbers: whether the closure was dropped.
    dropped: Vec<Arc<AtomicBool>>,
}

#[derive(Default)]
struct Place {
    handle: Option<Emitter<Oops>>,
    bus: Option<WeakEmitter<Oops>>,
}

struct Owner;

impl Side for Real {
    type Subscription = Subscription;
    type Id = ListenerId;
    type Port = AnyPort;
    type Recorder = Recorder<A>;
    type Emission = EmissionId;

    fn is_there(&self, bus: usize) -> bool {
        self.emitter(bus).is_some()
    }

    fn make(world: &Arc<World<Self>>, bus: usize, number: usize, settings: &Settings) {
        let calls = Arc::clone(world);
        // Counting changes nothing of what is promised.
        let mut builder = Builder::new().max_depth(settings.max_depth).metrics(bus % 2 == 1);
        if let Some((capacity, overflow)) = settings.queue {
            builder = builder.queue(capacity, overflow);
        }
        let emitter = builder.build(move |failure| {
            let told = tell(&calls, &failure);
            let error = failure.into_error().ok().map(|Oops(listener)| listener);
            if calls.fail(number, bus, told, error) {
                panic_any(panic_text(number, "error channel"));
            }
        });
        let place = &mut world.side.desk().buses[bus];
        place.bus = Some(emitter.downgrade());
        place.handle = Some(emitter);
    }

    fn open(&self, bus: usize) {
        let handle = self.emitter(bus);
        let former = std::mem::replace(&mut self.desk().buses[bus].handle, handle);
        drop(former);
    }

    fn close(world: &Arc<World<Self>>, bus: usize) {
        let handle = world.side.desk().buses[bus].handle.take();
        drop(handle);
    }

    fn suppressed(&self, bus: usize) -> u64 {
        self.emitter(bus).map_or(0, |emitter| emitter.suppressed_failures())
    }

    fn closures(&self) -> Vec<usize> {
        let dropped = &self.desk().dropped;
        (0..dropped.len()).filter(|listener| !dropped[*listener].load(Ordering::Relaxed)).collect()
    }

    fn listen(world: &Arc<World<Self>>, listener: &Arc<Listener>, number: usize) -> Option<(Subscription, ListenerId)> {
        let emitter = world.side.emitter(listener.bus)?;
        let owner = match listener.verb {
            Verb::OnWeak(owner) => Some(world.side.owner(owner)),
            _ => None,
        };
        let adding = Adding { emitter, owner, listener, cue: Cue::new(world, number, listener.drops_badly) };
        let subscription = match listener.answer {
            Answer::Nothing => adding.add(|_| ()),
            Answer::Fine => adding.add(|_| Ok(())),
            Answer::Errs => adding.add(|cue| Err::<(), _>(Oops(cue.listener))),
            Answer::Breaks => adding.add(|_| ControlFlow::Break(())),
            Answer::OkBreaks => adding.add(|_| Ok(ControlFlow::Break(()))),
            Answer::Panics => adding.add(panics),
            Answer::PanicsMutely => adding.add(panics_mutely),
            Answer::PanicsTwice => adding.add(panics_twice),
        };
        let id = subscription.id();
        Some((subscription, id))
    }

    fn off_id(&self, bus: usize, id: ListenerId) -> Option<bool> {
        Some(self.emitter(bus)?.off(id))
    }

    fn off_all(&self, bus: usize) -> Option<usize> {
        Some(self.emitter(bus)?.off_all())
    }

    fn count(&self, bus: usize, topic: Option<Topic>, kind: Kind) -> Option<usize> {
        fn count<T: 'static>(emitter: &Emitter<Oops>, topic: Option<Topic>) -> usize {
            match topic {
                None => emitter.listen::<T>().count(),
                Some(topic) => emitter.topic(topic).listen::<T>().count(),
            }
        }
        let emitter = self.emitter(bus)?;
        Some(match kind {
            Kind::A => count::<A>(&emitter, topic),
            Kind::B => count::<B>(&emitter, topic),
            Kind::C => count::<C>(&emitter, topic),
            Kind::Failures => count::<Failure<Oops>>(&emitter, topic),
        })
    }

    fn drop_owner(&self, owner: usize) {
        let owner = self.desk().owners[owner].take();
        drop(owner);
    }

    fn record(&self, bus: usize) -> Option<Recorder<A>> {
        Some(self.emitter(bus)?.record())
    }

    fn recorded(&self, recorder: &Recorder<A>) -> Vec<u32> {
        recorder.take().into_iter().map(|A(tag)| tag).collect()
    }

    fn drop_recorder(&self, recorder: Recorder<A>) {
        drop(recorder);
    }

    fn off(&self, subscription: Subscription) -> bool {
        subscription.off()
    }

    fn off_and_wait(&self, subscription: Subscription) -> bool {
        subscription.off_and_wait().is_err()
    }

    fn unsubscribe(&self, subscription: Subscription) {
        drop(subscription);
    }

    fn detach(&self, subscription: Subscription) -> ListenerId {
        subscription.detach()
    }

    fn pause(&self, subscription: &Subscription) {
        subscription.pause();
    }

    fn resume(&self, subscription: &Subscription) {
        subscription.resume();
    }

    fn is_active(&self, subscription: &Subscription) -> bool {
        subscription.is_active()
    }

    fn emit(
        world: &Arc<World<Self>>,
        bus: usize,
        topic: Option<Topic>,
        kind: Kind,
        tag: u32,
    ) -> Option<Report<ListenerId>> {
        fn emit<T: 'static>(emitter: &Emitter<Oops>, topic: Option<Topic>, event: &T) -> Emission {
            match topic {
                None => emitter.emit(event),
                Some(topic) => emitter.topic(topic).emit(event),
            }
        }
        let emitter = world.side.emitter(bus)?;
        Some(report(match kind {
            Kind::A => emit(&emitter, topic, &A(tag)),
            Kind::B => emit(&emitter, topic, &B(Box::new(tag))),
            Kind::C => emit(&emitter, topic, &C(tag.to_string())),
            Kind::Failures => unreachable!("only the bus emits failures"),
        }))
    }

    fn port(&self, bus: usize, topic: Option<Topic>, kind: Kind) -> Option<AnyPort> {
        fn port<T: 'static>(emitter: &Emitter<Oops>, topic: Option<Topic>) -> Port<T, Oops> {
            match topic {
                None => emitter.port(),
                Some(topic) => emitter.topic(topic).port(),
            }
        }
        let emitter = self.emitter(bus)?;
        Some(match kind {
            Kind::A => AnyPort::A(port(&emitter, topic)),
            Kind::B => AnyPort::B(port(&emitter, topic)),
            Kind::C => AnyPort::C(port(&emitter, topic)),
            Kind::Failures => unreachable!("only the bus emits failures"),
        })
    }

    fn clone_port(&self, port: &AnyPort) -> AnyPort {
        port.clone()
    }

    fn emit_port(_: &Arc<World<Self>>, port: &AnyPort, tag: u32) -> Report<ListenerId> {
        report(match port {
            AnyPort::A(port) => port.emit(&A(tag)),
            AnyPort::B(port) => port.emit(&B(Box::new(tag))),
            AnyPort::C(port) => port.emit(&C(tag.to_string())),
        })
    }

    fn drop_port(_: &Arc<World<Self>>, port: AnyPort) {
        drop(port);
    }

    fn defer(
        world: &Arc<World<Self>>,
        bus: usize,
        topic: Option<Topic>,
        kind: Kind,
        tag: u32,
    ) -> Option<Result<(), Refused>> {
        fn defer<T: Event>(
            world: &World<Real>,
            emitter: &Emitter<Oops>,
            topic: Option<Topic>,
            event: T,
        ) -> Result<(), Refused> {
            let heard = event.heard(world);
            given_back(
                world,
                &heard,
                match topic {
                    None => emitter.defer(event),
                    Some(topic) => emitter.topic(topic).defer(event),
                },
            )
        }
        let emitter = world.side.emitter(bus)?;
        Some(match kind {
            Kind::A => defer(world, &emitter, topic, A(tag)),
            Kind::B => defer(world, &emitter, topic, B(Box::new(tag))),
            Kind::C => defer(world, &emitter, topic, C(tag.to_string())),
            Kind::Failures => unreachable!("only the bus emits failures"),
        })
    }

    fn defer_port(world: &Arc<World<Self>>, port: &AnyPort, tag: u32) -> Result<(), Refused> {
        fn defer<T: Event>(world: &World<Real>, port: &Port<T, Oops>, event: T) -> Result<(), Refused> {
            let heard = event.heard(world);
            given_back(world, &heard, port.defer(event))
        }
        match port {
            AnyPort::A(port) => defer(world, port, A(tag)),
            AnyPort::B(port) => defer(world, port, B(Box::new(tag))),
            AnyPort::C(port) => defer(world, port, C(tag.to_string())),
        }
    }

    fn drain(world: &Arc<World<Self>>, bus: usize) -> Option<Drained> {
        Some(drained(world.side.emitter(bus)?.drain()))
    }

    fn drain_until_idle(world: &Arc<World<Self>>, bus: usize, limit: usize) -> Option<Drained> {
        Some(drained(world.side.emitter(bus)?.drain_until_idle(limit)))
    }

    fn pending(&self, bus: usize) -> Option<usize> {
        Some(self.emitter(bus)?.pending())
    }

    fn discard_pending(&self, bus: usize) -> Option<usize> {
        Some(self.emitter(bus)?.discard_pending())
    }

    fn close_queue(&self, bus: usize) {
        if let Some(emitter) = self.emitter(bus) {
            emitter.close();
        }
    }
}

impl Real {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.try_lock().expect("the desk is held over a call")
    }

    fn emitter(&self, bus: usize) -> Option<Emitter<Oops>> {
        self.desk().buses[bus].bus.as_ref()?.upgrade()
    }

    fn owner(&self, owner: usize) -> Arc<Owner> {
        Arc::clone(self.desk().owners[owner].get_or_insert_with(|| Arc::new(Owner)))
    }
}

#[derive(Clone)]
pub(crate) enum AnyPort {
    A(Port<A, Oops>),
    B(Port<B, Oops>),
    C(Port<C, Oops>),
}

/// What a listener's closure captures.
struct Cue {
    world: Arc<World<Real>>,
    listener: usize,
    dropped: Arc<AtomicBool>,
    drops_badly: bool,
}

impl Cue {
    fn new(world: &Arc<World<Real>>, listener: usize, drops_badly: bool) -> Self {
        let dropped = Arc::new(AtomicBool::new(false));
        world.side.desk().dropped.push(Arc::clone(&dropped));
        Self { world: Arc::clone(world), listener, dropped, drops_badly }
    }

    fn hear<T: Event>(&self, event: &T, context: Option<&Context<'_, Oops>>) {
        self.world.hear(self.listener, event.heard(&self.world), context.map(scene));
    }

    fn hear_any(&self, event: &AnyEvent<'_, Oops>) {
        self.world.hear(self.listener, heard_any(&self.world, event), Some(scene(event.context())));
    }
}

impl Drop for Cue {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        if self.drops_badly {
            panic_any(panic_text(self.listener, "destructor"));
        }
    }
}

fn panics(cue: &Cue) -> ! {
    panic_any(panic_text(cue.listener, Answer::Panics))
}

fn panics_mutely(_: &Cue) -> ! {
    panic_any(Mute)
}

fn panics_twice(_: &Cue) -> ! {
    panic_any(Twice)
}

struct Mute;
struct Twice;

impl Drop for Twice {
    fn drop(&mut self) {
        panic_any(Mute);
    }
}

/// A listener on its way to the bus, with what it captures.
struct Adding<'a> {
    emitter: Emitter<Oops>,
    owner: Option<Arc<Owner>>,
    listener: &'a Listener,
    cue: Cue,
}

impl Adding<'_> {
    fn add<R: IntoFlow<Oops> + 'static>(self, answer: fn(&Cue) -> R) -> Subscription {
        let Self { emitter, listener, cue, .. } = self;
        match listener.ear {
            Ear::Event(Kind::A) => Self { emitter, cue, ..self }.add_typed::<A, R>(answer),
            Ear::Event(Kind::B) => Self { emitter, cue, ..self }.add_typed::<B, R>(answer),
            Ear::Event(Kind::C) => Self { emitter, cue, ..self }.add_typed::<C, R>(answer),
            Ear::Event(Kind::Failures) => Self { emitter, cue, ..self }.add_typed::<Failure<Oops>, R>(answer),
            Ear::Any => {
                let hear = move |event: &AnyEvent<'_, Oops>| {
                    cue.hear_any(event);
                    answer(&cue)
                };
                match listener.topics.first() {
                    None => emitter.on_any(hear),
                    Some(topic) if is_concrete(topic) => emitter.topic(topic).on_any(hear),
                    Some(pattern) => emitter.topics(pattern).on_any(hear),
                }
            }
            Ear::Unheard => emitter.on_unheard(move |event| {
                cue.hear_any(event);
                answer(&cue)
            }),
            Ear::Failure => emitter.on_failure(move |failure| {
                cue.hear(failure, None);
                answer(&cue)
            }),
        }
    }

    fn add_typed<T: Event, R: IntoFlow<Oops> + 'static>(self, answer: fn(&Cue) -> R) -> Subscription {
        let Self { emitter, owner, listener, cue } = self;
        let mut listen = match listener.topics.first() {
            None => emitter.listen::<T>(),
            Some(topic) if is_concrete(topic) => emitter.topic(topic).listen(),
            Some(pattern) => emitter.topics(pattern).listen(),
        };
        for pattern in listener.topics.iter().skip(1) {
            listen = listen.topics(pattern);
        }
        listen = listen.priority(listener.priority);
        if let Some(name) = listener.name {
            listen = listen.named(name);
        }
        if let Some(times) = listener.times {
            listen = listen.times(times);
        }
        if listener.filter.is_some() {
            listen = listen.filter(asks(&cue));
        }
        if listener.deferred {
            listen = listen.deferred();
        }
        let plain = move |cue: &Cue, event: &T| {
            cue.hear(event, None);
            answer(cue)
        };
        let with = move |cue: &Cue, event: &T, context: &Context<'_, Oops>| {
            cue.hear(event, Some(context));
            answer(cue)
        };
        match listener.verb {
            Verb::On => listen.on(move |event| plain(&cue, event)),
            Verb::OnWith => listen.on_with(move |event, context| with(&cue, event, context)),
            Verb::Once => listen.once(move |event| plain(&cue, event)),
            Verb::OnceWith => listen.once_with(move |event, context| with(&cue, event, context)),
            Verb::OnWeak(_) => {
                let owner = owner.expect("an owner was made");
                listen.on_weak(&owner, move |_, event| plain(&cue, event))
            }
        }
    }
}

fn is_concrete(pattern: &str) -> bool {
    !pattern.contains('*')
}

fn asks<T: Event>(cue: &Cue) -> impl Fn(&T) -> bool + Send + Sync + use<T> {
    let world = Arc::clone(&cue.world);
    let listener = cue.listener;
    move |event| match world.ask(listener, event.heard(&world)) {
        Verdict::FilterPanics => panic_any(panic_text(listener, Verdict::FilterPanics)),
        verdict => verdict == Verdict::Accepts,
    }
}

trait Event: Clone + Send + 'static {
    fn heard(&self, world: &World<Real>) -> Heard;
}

impl Event for A {
    fn heard(&self, _: &World<Real>) -> Heard {
        Heard::Event(Kind::A, self.0)
    }
}

impl Event for B {
    fn heard(&self, _: &World<Real>) -> Heard {
        Heard::Event(Kind::B, *self.0)
    }
}

impl Event for C {
    fn heard(&self, _: &World<Real>) -> Heard {
        Heard::Event(Kind::C, self.0.parse().expect("a `C` is a number in words"))
    }
}

impl Event for Failure<Oops> {
    fn heard(&self, world: &World<Real>) -> Heard {
        Heard::Failure(tell(world, self))
    }
}

fn heard_any(world: &World<Real>, event: &AnyEvent<'_, Oops>) -> Heard {
    fn downcast<T: Event>(world: &World<Real>, event: &AnyEvent<'_, Oops>) -> Option<Heard> {
        let heard = event.downcast_ref::<T>()?.heard(world);
        assert_eq!(event.type_name(), type_name::<T>());
        Some(heard)
    }
    downcast::<A>(world, event)
        .or_else(|| downcast::<B>(world, event))
        .or_else(|| downcast::<C>(world, event))
        .or_else(|| downcast::<Failure<Oops>>(world, event))
        .expect("an event of a type that the program knows")
}

fn scene(context: &Context<'_, Oops>) -> Scene<EmissionId, ListenerId> {
    Scene {
        listener: context.listener(),
        topic: context.topic().map(str::to_owned),
        depth: context.depth(),
        id: context.id(),
        cause: context.cause(),
        origin: context.origin(),
    }
}

fn tell(world: &World<Real>, failure: &Failure<Oops>) -> Failed {
    let culprit = |info: &hearken::ListenerInfo| Culprit {
        listener: world.number_of(info.id),
        name: info.name,
        priority: info.priority,
    };
    let cause = match failure.cause() {
        Cause::Error(error) => Why::Error(error.0),
        Cause::Panic(text) => Why::Panic(text.starts_with("scripted").then(|| text.to_string())),
        Cause::TooDeep { limit } => Why::TooDeep { limit: *limit },
        Cause::Lost { missed } => Why::Lost { missed: *missed },
        other => panic!("a cause that the model doesn't know: {other:?}"),
    };
    let topic = failure.topic().map(str::to_owned);
    Failed { event: kind_of(failure.event()), topic, by: failure.listener().map(culprit), cause }
}

fn kind_of(event: &str) -> Option<Kind> {
    let kinds = [
        (type_name::<A>(), Kind::A),
        (type_name::<B>(), Kind::B),
        (type_name::<C>(), Kind::C),
        (type_name::<Failure<Oops>>(), Kind::Failures),
    ];
    let kind = kinds.into_iter().find(|(name, _)| *name == event).map(|(_, kind)| kind);
    assert!(kind.is_some() || event == "deferred events", "{event} is no type that the program knows");
    kind
}

/// Why an event was not deferred. It is given back as it was.
fn given_back<T: Event>(
    world: &World<Real>,
    heard: &Heard,
    deferred: Result<(), DeferError<T>>,
) -> Result<(), Refused> {
    deferred.map_err(|error| {
        let why = match error {
            DeferError::Full(_) => Refused::Full,
            DeferError::Closed(_) => Refused::Closed,
        };
        assert_eq!(error.into_inner().heard(world), *heard);
        why
    })
}

fn drained(drained: hearken::Drained) -> Drained {
    Drained { delivered: drained.delivered, remaining: drained.remaining }
}

fn report(emission: Emission) -> Report<ListenerId> {
    let Emission { heard, failed, deferred, stopped_by, .. } = emission;
    Report { heard, failed, deferred, stopped_by }
}

/// Keeps the panics that the programs mean out of the test's output, and no others.
pub(crate) fn silence_scripted_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let scripted = payload.downcast_ref::<String>().is_some_and(|text| text.starts_with("scripted"));
            if !scripted && !payload.is::<Mute>() && !payload.is::<Twice>() {
                loud(info);
            }
        }));
    });
}
