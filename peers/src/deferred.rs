//! Events that are queued, and delivered to one listener by whoever drains.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bevy_ecs::message::{Message, Messages};
use hearken::{Emitter, Overflow, Port};

use crate::harness::{HEARKEN, Who, case};
use crate::measure::{nanoseconds, rounds};

const EVENTS: u32 = 1_000_000;

#[derive(Clone, Copy, Message)]
struct Event([u64; 3]);

fn events() -> impl Iterator<Item = Event> {
    (0..EVENTS.into()).map(|number| Event([number; 3]))
}

const VEC: Who = Who::new("floor: a typed Vec", "one type, one thread");
const BOXES: Who = Who::new("floor: a VecDeque of boxes", "one thread");
const CROSSBEAM: Who = Who::new("crossbeam-channel", "one type; no listeners: the receiver handles it");
const FLUME: Who = Who::new("flume", "one type; no listeners: the receiver handles it");
const BEVY: Who = Who::new(
    "bevy_ecs messages, polled",
    "one type, one thread (`&mut World`); no listeners: readers poll; the slow ones lose events",
);

pub(crate) fn print() {
    let who = [VEC.bar(4.0), BOXES, BEVY, CROSSBEAM, FLUME.bar(1.0), HEARKEN];
    let mut contenders = one_thread();
    case("one thread", "ns", &who, rounds(|| contenders.iter_mut().map(|contender| time(contender)).collect()));

    let who = [HEARKEN, CROSSBEAM.bar(1.0), FLUME];
    for producers in [1, 2] {
        let rounds = rounds(|| vec![hearken(producers), crossbeam(producers), flume(producers)]);
        case(&format!("{producers} to 1 thread"), "ns", &who, rounds);
    }
}

pub(crate) fn wake_up() {
    case("an idle loop", "ns", &[HEARKEN, CROSSBEAM], rounds(|| vec![wake_hearken(), wake_crossbeam()]));
}

/// Nanoseconds an event.
fn time(act: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    act();
    nanoseconds(start.elapsed()) / f64::from(EVENTS)
}

fn bus() -> Emitter {
    Emitter::builder().queue(EVENTS as usize * 2, Overflow::Reject).build(hearken::panic)
}

type Erased = dyn Fn(&dyn Any);

/// Each queues all events, then hands each to a listener behind a pointer.
fn one_thread() -> [Box<dyn FnMut()>; 6] {
    let sum = || {
        let sum = Cell::new(0_u64);
        move |event: &Event| sum.set(sum.get().wrapping_add(event.0[0]))
    };
    let mut listener: Box<dyn Fn(&Event)> = Box::new(sum());
    let mut typed = Vec::new();
    let typed = move || {
        typed.extend(events().map(black_box));
        typed.drain(..).for_each(|event| black_box(&mut listener)(&event));
    };
    let mut listener: Box<Erased> = Box::new({
        let sum = sum();
        move |event| event.downcast_ref().map_or((), &sum)
    });
    let mut boxed: VecDeque<Box<dyn Any>> = VecDeque::new();
    let boxed = move || {
        events().for_each(|event| boxed.push_back(Box::new(event)));
        while let Some(event) = boxed.pop_front() {
            black_box(&mut listener)(&*event);
        }
    };
    // What a system's `MessageWriter` and another's `MessageReader` do, without the systems; and the turn that a schedule does.
    let mut messages = Messages::default();
    let mut cursor = messages.get_cursor();
    let mut listener: Box<dyn Fn(&Event)> = Box::new(sum());
    let bevy = move || {
        events().for_each(|event| _ = messages.write(black_box(event)));
        cursor.read(&messages).for_each(|event| black_box(&mut listener)(event));
        messages.update();
    };
    let (sender, receiver) = crossbeam_channel::unbounded();
    let mut listener: Box<dyn Fn(&Event)> = Box::new(sum());
    let crossbeam = move || {
        events().for_each(|event| sender.send(event).unwrap());
        receiver.try_iter().for_each(|event| black_box(&mut listener)(&event));
    };
    let (sender, receiver) = flume::unbounded();
    let mut listener: Box<dyn Fn(&Event)> = Box::new(sum());
    let flume = move || {
        events().for_each(|event| sender.send(event).unwrap());
        receiver.try_iter().for_each(|event| black_box(&mut listener)(&event));
    };
    let bus = bus();
    let heard = AtomicU64::new(0);
    bus.on(move |event: &Event| heard.store(heard.load(Ordering::Relaxed).wrapping_add(event.0[0]), Ordering::Relaxed))
        .detach();
    let port: Port<Event> = bus.port();
    let hearken = move || {
        events().for_each(|event| port.defer(event).unwrap());
        bus.drain();
    };
    [Box::new(typed), Box::new(boxed), Box::new(bevy), Box::new(crossbeam), Box::new(flume), Box::new(hearken)]
}

/// Nanoseconds an event, from the first that is sent until the last is handled. All went through once before, so that nobody's memory is
/// new: `consume` handles so many events twice, and waits for the other side each time.
fn across(producers: u32, send: impl Fn(Event) + Sync, consume: impl FnOnce(u32, Arc<Barrier>) + Send) -> f64 {
    let all = EVENTS / producers * producers;
    let handled = Arc::new(Barrier::new(2));
    thread::scope(|threads| {
        let consumer = Arc::clone(&handled);
        threads.spawn(|| consume(all, consumer));
        let send_all = || {
            let start = Instant::now();
            thread::scope(|threads| {
                for _ in 0..producers {
                    threads.spawn(|| events().take((EVENTS / producers) as usize).for_each(&send));
                }
                handled.wait();
            });
            nanoseconds(start.elapsed()) / f64::from(all)
        };
        send_all();
        send_all()
    })
}

fn hearken(producers: u32) -> f64 {
    let bus = bus();
    let port = bus.port();
    across(
        producers,
        |event| port.defer(event).unwrap(),
        |all, passed| {
            let (heard, weak) = (AtomicU32::new(0), bus.downgrade());
            let _hears = bus.on(move |event: &Event| {
                black_box(event);
                let now = heard.load(Ordering::Relaxed) + 1;
                heard.store(now, Ordering::Relaxed);
                if now % all == 0 {
                    passed.wait();
                }
                if now == 2 * all {
                    weak.upgrade().unwrap().close();
                }
            });
            bus.run();
        },
    )
}

fn crossbeam(producers: u32) -> f64 {
    let (sender, receiver) = crossbeam_channel::unbounded();
    across(producers, |event| sender.send(event).unwrap(), twice(move || receiver.recv().ok()))
}

fn flume(producers: u32) -> f64 {
    let (sender, receiver) = flume::unbounded();
    across(producers, |event| sender.send(event).unwrap(), twice(move || receiver.recv().ok()))
}

fn twice(receive: impl Fn() -> Option<Event> + Send) -> impl FnOnce(u32, Arc<Barrier>) + Send {
    move |all, passed| {
        for _ in 0..2 {
            (0..all).for_each(|_| _ = black_box(receive().unwrap()));
            passed.wait();
        }
    }
}

const WAKES: u32 = 300;
/// Long enough for a thread that has nothing to do to go to sleep.
const IDLE: Duration = Duration::from_micros(200);

/// Nanoseconds from sending to receiving, where the receiver sleeps.
fn wake(send: impl Fn(Instant), woken: &mpsc::Receiver<Duration>) -> f64 {
    let times = (0..WAKES).map(|_| {
        thread::sleep(IDLE);
        send(Instant::now());
        nanoseconds(woken.recv().unwrap())
    });
    let mut times: Vec<_> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn wake_hearken() -> f64 {
    let bus = bus();
    let (tell, woken) = mpsc::sync_channel(1);
    let _hears = bus.on(move |sent: &Instant| tell.send(sent.elapsed()).unwrap());
    let events = bus.spawn_loop("events").unwrap();
    let time = wake(|sent| bus.defer(sent).unwrap(), &woken);
    events.shutdown();
    time
}

fn wake_crossbeam() -> f64 {
    let (sender, receiver) = crossbeam_channel::unbounded::<Instant>();
    let (tell, woken) = mpsc::sync_channel(1);
    let receiving = thread::spawn(move || receiver.iter().for_each(|sent| tell.send(sent.elapsed()).unwrap()));
    let sender = Arc::new(sender);
    let time = wake(|sent| sender.send(sent).unwrap(), &woken);
    drop(sender);
    receiving.join().unwrap();
    time
}
