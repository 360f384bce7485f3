//! The peers. All get the same event, and the same listeners: closures that read it and their own capture.

use std::any::Any;
use std::convert::Infallible;

use bevy_ecs::entity::Entity;
use bevy_ecs::event::Event;
use bevy_ecs::observer::On;
use divan::black_box;
use evenio::event::{GlobalEvent, Receiver};
use evenio::handler::{HandlerId, IntoHandler};
use event_emitter_rs::EventEmitter;
use mod_events::{EventDispatcher, ListenerId};
use rxrust::prelude::{
    BoxedObserver, BoxedObserverSend, Local, LocalScheduler, LocalSubject as RxLocal, Observable, ObservableFactory,
    Observer, Shared as Threaded, SharedScheduler, SharedSubject as RxShared, SubjectSubscription, Subscribers,
    Subscription as _, SubscriptionState,
};
use rxrust::rc::{CellArc, CellRc, MutArc, MutRc};
use signals2::{Connect1, Connection, Emit1, Signal};
use tokio::sync::broadcast;

use super::Emits;
use super::listens::{Listens, Shared};

/// The event: small, as most are.
#[derive(Clone, Copy, Debug, Event, GlobalEvent)]
pub(crate) struct Placed {
    pub(crate) order: u64,
}

pub(crate) const PLACED: Placed = Placed { order: 7 };

/// What every listener is, but for its capture.
pub(crate) fn listener(number: u64) -> impl Fn(&Placed) + Send + Sync + 'static {
    move |placed| {
        black_box(placed.order ^ number);
    }
}

pub(crate) struct Hearken(hearken::Emitter);

impl Listens for Hearken {
    type Kept = hearken::Subscription;

    fn empty() -> Self {
        Self(hearken::Emitter::builder().leak_warning(0).build(hearken::panic))
    }

    fn on(&mut self, number: u64) -> Self::Kept {
        self.0.on(listener(black_box(number)))
    }

    fn off(&mut self, kept: Self::Kept) {
        drop(kept);
    }

    fn emit(&mut self, event: &Placed, _: &mut [Self::Kept]) {
        self.tell(event);
    }
}

impl Shared for Hearken {
    #[inline]
    fn tell(&self, event: &Placed) {
        self.0.emit(event);
    }

    fn come_and_go(&self) {
        drop(self.0.on(listener(black_box(0))));
    }
}

pub(crate) struct Signals2(Signal<(Placed,)>);

impl Signals2 {
    fn connect(&self, number: u64) -> Connection {
        let listener = listener(black_box(number));
        self.0.connect(move |placed| listener(&placed))
    }
}

impl Listens for Signals2 {
    type Kept = Connection;

    fn empty() -> Self {
        Self(Signal::new())
    }

    fn on(&mut self, number: u64) -> Connection {
        self.connect(number)
    }

    fn off(&mut self, kept: Connection) {
        kept.disconnect();
    }

    fn emit(&mut self, event: &Placed, _: &mut [Connection]) {
        self.tell(event);
    }
}

impl Shared for Signals2 {
    #[inline]
    fn tell(&self, event: &Placed) {
        self.0.emit(*event);
    }

    fn come_and_go(&self) {
        self.connect(0).disconnect();
    }
}

impl mod_events::Event for Placed {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(crate) struct ModEvents(EventDispatcher);

impl Listens for ModEvents {
    type Kept = ListenerId;

    fn empty() -> Self {
        Self(EventDispatcher::new())
    }

    fn on(&mut self, number: u64) -> ListenerId {
        self.0.on(listener(black_box(number)))
    }

    fn off(&mut self, kept: ListenerId) {
        self.0.unsubscribe(kept);
    }

    fn emit(&mut self, event: &Placed, _: &mut [ListenerId]) {
        self.tell(event);
    }
}

impl Shared for ModEvents {
    #[inline]
    fn tell(&self, event: &Placed) {
        self.0.emit(*event);
    }

    fn come_and_go(&self) {
        self.0.unsubscribe(self.0.on(listener(black_box(0))));
    }
}

pub(crate) struct Bevy(bevy_ecs::world::World);

impl Listens for Bevy {
    type Kept = Entity;

    fn empty() -> Self {
        Self(bevy_ecs::world::World::new())
    }

    fn on(&mut self, number: u64) -> Entity {
        let listener = listener(black_box(number));
        self.0.add_observer(move |placed: On<Placed>| listener(&placed)).id()
    }

    fn off(&mut self, kept: Entity) {
        self.0.despawn(kept);
    }

    fn emit(&mut self, event: &Placed, _: &mut [Entity]) {
        self.0.trigger(*event);
    }
}

pub(crate) struct Evenio(evenio::world::World);

impl Listens for Evenio {
    type Kept = HandlerId;

    fn empty() -> Self {
        Self(evenio::world::World::new())
    }

    fn on(&mut self, number: u64) -> HandlerId {
        let listener = listener(black_box(number));
        self.0.add_handler((move |placed: Receiver<'_, Placed>| listener(placed.event)).no_type_id())
    }

    fn off(&mut self, kept: HandlerId) {
        self.0.remove_handler(kept);
    }

    fn emit(&mut self, event: &Placed, _: &mut [HandlerId]) {
        self.0.send(*event);
    }
}

/// A subject, on one thread or for many.
macro_rules! subject {
    ($name:ident, $context:ident, $subject:ident, $rc:ident, $observer:ident, $scheduler:ident, $cell:ident) => {
        pub(crate) struct $name($subject<'static, Placed, Infallible>);

        impl Listens for $name {
            type Kept = SubjectSubscription<
                $rc<Subscribers<$observer<'static, Placed, Infallible>>>,
                $scheduler,
                $cell<SubscriptionState>,
            >;

            fn empty() -> Self {
                Self($context::subject())
            }

            fn on(&mut self, number: u64) -> Self::Kept {
                let listener = listener(black_box(number));
                self.0.clone().subscribe(move |placed: Placed| listener(&placed))
            }

            fn off(&mut self, kept: Self::Kept) {
                kept.unsubscribe();
            }

            fn emit(&mut self, event: &Placed, _: &mut [Self::Kept]) {
                self.0.next(*event);
            }
        }
    };
}

subject!(LocalSubject, Local, RxLocal, MutRc, BoxedObserver, LocalScheduler, CellRc);
subject!(SharedSubject, Threaded, RxShared, MutArc, BoxedObserverSend, SharedScheduler, CellArc);

pub(crate) struct Threads(EventEmitter);

const NAME: &str = "placed";

impl Listens for Threads {
    type Kept = String;

    fn empty() -> Self {
        Self(EventEmitter::new())
    }

    fn on(&mut self, number: u64) -> String {
        let listener = listener(black_box(number));
        self.0.on(NAME, move |order: u64| listener(&Placed { order }))
    }

    fn off(&mut self, kept: String) {
        self.0.remove_listener(&kept);
    }

    fn emit(&mut self, event: &Placed, _: &mut [String]) {
        self.0.emit(NAME, event.order).into_iter().for_each(|thread| thread.join().expect("a listener doesn't panic"));
    }
}

/// Has listeners on one thread called by who polls a receiver for each.
pub(crate) struct Broadcast(broadcast::Sender<Placed>);

type Called = Box<dyn Fn(&Placed) + Send + Sync>;

impl Listens for Broadcast {
    type Kept = (broadcast::Receiver<Placed>, Called);

    fn empty() -> Self {
        Self(broadcast::Sender::new(16))
    }

    fn on(&mut self, number: u64) -> Self::Kept {
        (self.0.subscribe(), Box::new(listener(black_box(number))))
    }

    fn off(&mut self, kept: Self::Kept) {
        drop(kept);
    }

    fn emit(&mut self, event: &Placed, kept: &mut [Self::Kept]) {
        _ = self.0.send(*event);
        for (receiver, listener) in kept {
            listener(&receiver.try_recv().expect("it was sent"));
        }
    }
}

/// A channel for each listener, and who polls them all.
pub(crate) fn channels<S: 'static, R: 'static>(
    listeners: u64,
    channel: fn() -> (S, R),
    send: fn(&S, Placed),
    receive: fn(&R) -> Option<Placed>,
) -> Emits {
    let channels: Vec<_> = (0..listeners).map(|number| (channel(), Box::new(listener(number)) as Called)).collect();
    Box::new(move |calls| {
        for _ in 0..calls {
            channels.iter().for_each(|((sender, _), _)| send(sender, black_box(PLACED)));
            for ((_, receiver), listener) in &channels {
                listener(&receive(receiver).expect("it was sent"));
            }
        }
    })
}
