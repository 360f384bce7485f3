//! Events that are awaited: how soon a task wakes, how many come through, and what an emission pays for each stream.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use event_listener::{Event, Listener};
use futures_executor::block_on;
use futures_util::{FutureExt, StreamExt};
use hearken::{Emitter, EventStream, Overflow};
use tokio::sync::broadcast;

use crate::harness::{HEARKEN, Who, case};
use crate::measure::{nanoseconds, rounds};

const TURNS: u32 = 2_000;
const EVENTS: u32 = 200_000;

#[derive(Clone, Copy)]
struct Ping(u32);
#[derive(Clone, Copy)]
struct Pong(u32);

const EVENT: Who = Who::new("event-listener", "wakes, and carries no event");
const TOKIO: Who = Who::new("tokio broadcast", "one type; no listeners; the slow receivers lose events");
const ASYNC_BROADCAST: Who =
    Who::new("async-broadcast", "one type; no listeners; one slow receiver stops all, or loses events");

pub(crate) fn tasks() {
    let turns = rounds(|| vec![ping_pong_hearken(), ping_pong_event_listener(), ping_pong_tokio()]);
    case("ping-pong of two threads, a turn", "ns", &[HEARKEN, EVENT.bar(1.2), TOKIO], turns);

    let through = rounds(|| vec![through_hearken(), through_tokio(), through_async_broadcast()]);
    case("through one stream, an event", "ns", &[HEARKEN, TOKIO.bar(1.0), ASYNC_BROADCAST], through);
}

pub(crate) fn emit() {
    for streams in [1, 10, 100] {
        let rounds = rounds(|| vec![emit_hearken(streams), emit_tokio(streams)]);
        case(&format!("{streams} streams"), "ns", &[HEARKEN, TOKIO], rounds);
    }
}

/// Nanoseconds each of so many takes.
fn each(times: u32, act: impl FnOnce()) -> f64 {
    let start = Instant::now();
    act();
    nanoseconds(start.elapsed()) / f64::from(times)
}

/// One thread sends and awaits the answer, which the other awaits and answers.
fn ping_pong_hearken() -> f64 {
    let bus = Emitter::new(hearken::panic);
    let (mut pings, mut pongs) = (bus.stream::<Ping>(), bus.stream::<Pong>());
    let answering = thread::spawn({
        let bus = bus.downgrade();
        move || {
            while let Some(Ping(turn)) = block_on(pings.next()) {
                let Some(bus) = bus.upgrade() else { break };
                bus.emit(&Pong(turn));
            }
        }
    });
    let time = each(TURNS, || {
        for turn in 0..TURNS {
            bus.emit(&Ping(turn));
            black_box(block_on(pongs.next()));
        }
    });
    drop(bus);
    answering.join().unwrap();
    time
}

/// The same with nothing but the waking.
fn ping_pong_event_listener() -> f64 {
    let (ping, pong) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let first = ping.listen();
    let answering = thread::spawn({
        let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
        move || {
            let mut next = first;
            for _ in 0..TURNS {
                block_on(next);
                next = ping.listen();
                pong.notify(1);
            }
            next.discard();
        }
    });
    let time = each(TURNS, || {
        for _ in 0..TURNS {
            let answer = pong.listen();
            ping.notify(1);
            block_on(answer);
        }
    });
    answering.join().unwrap();
    time
}

fn ping_pong_tokio() -> f64 {
    let (ping, mut pings) = broadcast::channel(256);
    let (pong, mut pongs) = broadcast::channel(256);
    let answering = thread::spawn(move || {
        while let Ok(Ping(turn)) = block_on(pings.recv()) {
            _ = pong.send(Pong(turn));
        }
    });
    let time = each(TURNS, || {
        for turn in 0..TURNS {
            _ = ping.send(Ping(turn));
            black_box(block_on(pongs.recv()).unwrap().0);
        }
    });
    drop(ping);
    answering.join().unwrap();
    time
}

fn stream(bus: &Emitter, capacity: usize) -> EventStream<Ping> {
    bus.listen().capacity(capacity).overflow(Overflow::DropNewest).stream()
}

/// Nanoseconds an event, when one thread sends them all, with room for all, and the other takes them. All went through once before, so that
/// nobody's memory is new.
fn through(send: impl Fn(Ping), mut take: impl AsyncFnMut() -> Option<Ping> + Send) -> f64 {
    let taken = Barrier::new(2);
    let send = || {
        (0..EVENTS).for_each(|turn| send(Ping(turn)));
        taken.wait();
    };
    thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..2 {
                block_on(async {
                    for _ in 0..EVENTS {
                        black_box(take().await.unwrap().0);
                    }
                });
                taken.wait();
            }
        });
        send();
        each(EVENTS, send)
    })
}

fn through_hearken() -> f64 {
    let bus = Emitter::new(hearken::panic);
    let mut stream = stream(&bus, EVENTS as usize);
    through(|ping| _ = bus.emit(&ping), async move || stream.next().await)
}

fn through_tokio() -> f64 {
    let (sender, mut receiver) = broadcast::channel(EVENTS as usize);
    through(|ping| _ = sender.send(ping), async move || receiver.recv().await.ok())
}

fn through_async_broadcast() -> f64 {
    let (sender, mut receiver) = async_broadcast::broadcast(EVENTS as usize);
    through(|ping| _ = sender.try_broadcast(ping), async move || receiver.recv().await.ok())
}

const EMITS: u32 = 2_000;

/// All went through twice before, so that no stream's memory is new: it has one part to write to and one to read from.
fn emit_hearken(streams: usize) -> f64 {
    let bus = Emitter::new(hearken::panic);
    let mut streams: Vec<_> = (0..streams).map(|_| stream(&bus, EMITS as usize)).collect();
    let emit = || (0..EMITS).for_each(|turn| _ = bus.emit(&Ping(turn)));
    for _ in 0..2 {
        emit();
        for stream in &mut streams {
            while let Some(Some(ping)) = stream.next().now_or_never() {
                black_box(ping.0);
            }
        }
    }
    each(EMITS, emit)
}

fn emit_tokio(streams: usize) -> f64 {
    let (sender, receiver) = broadcast::channel(EMITS as usize);
    let receivers: Vec<_> = (1..streams).map(|_| sender.subscribe()).collect();
    let time = each(EMITS, || (0..EMITS).for_each(|turn| _ = sender.send(Ping(turn))));
    drop((receiver, receivers));
    time
}
