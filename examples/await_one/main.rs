//! Waiting for events in async code: with a timeout, for one of two, for room in a stream, for listeners that await, and for the event loop.
//!
//! ```sh
//! cargo run --example await_one --features async
//! ```
//!
//! It runs on tokio, of which the bus knows nothing: any runtime will do.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use hearken::{BoxError, Cause, Emitter, Overflow};
use tokio::select;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

const MOMENT: Duration = Duration::from_millis(10);

#[derive(Clone)]
struct Ready(u32);

#[derive(Clone)]
struct Paid(u32);

#[derive(Clone)]
struct Shipped(u32);

#[derive(Clone)]
struct Part(u32);

#[derive(Clone)]
struct Order(u32);

struct Tick(u32);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let bus = Emitter::new(|failure| {
        let who = failure.listener().and_then(|listener| listener.name).unwrap_or("somebody");
        match failure.cause() {
            Cause::Error(error) => println!("  {who} failed: {error}"),
            // With the places in the source, for which one looks when there is a bug.
            _ => eprintln!("{failure}"),
        }
    });
    one_event_with_a_timeout(&bus).await;
    one_of_two(&bus).await;
    no_faster_than_the_reader(&bus).await;
    listeners_that_await(&bus).await;
    the_event_loop(&bus).await
}

async fn one_event_with_a_timeout(bus: &Emitter) {
    println!("one event, with a timeout");
    // It listens from here on: what is emitted before the first `await` isn't missed.
    let mut ready = bus.next::<Ready>();
    if timeout(MOMENT, &mut ready).await.is_err() {
        println!("  not ready yet");
    }
    bus.emit(&Ready(1));
    if let Ok(Some(Ready(number))) = timeout(MOMENT, ready).await {
        println!("  {number} is ready");
    }
}

async fn one_of_two(bus: &Emitter) {
    println!("one of two, and none is lost");
    let (mut paid, mut shipped) = (bus.next::<Paid>(), bus.next::<Shipped>());
    bus.emit(&Shipped(7));
    bus.emit(&Paid(7));
    // Both have come. The one that isn't taken now stays where it is. One that is used up gives `None`, which matches nothing.
    for _ in 0..2 {
        select! {
            biased;
            Some(Paid(order)) = &mut paid => println!("  {order} is paid"),
            Some(Shipped(order)) = &mut shipped => println!("  {order} is shipped"),
        }
    }
}

async fn no_faster_than_the_reader(bus: &Emitter) {
    println!("no faster than the reader");
    let mut parts = bus.listen::<Part>().capacity(2).overflow(Overflow::Block).stream();
    for number in 1..=2 {
        bus.emit_async(&Part(number)).await;
        println!("  sent {number}");
    }
    if timeout(MOMENT, bus.emit_async(&Part(0))).await.is_err() {
        println!("  no room; it is taken back");
    }
    let send = async {
        for number in 3..=4 {
            bus.emit_async(&Part(number)).await;
            println!("  sent {number}");
        }
    };
    let take = async {
        for _ in 1..=4 {
            if let Some(Part(number)) = parts.next().await {
                println!("  took {number}");
                // It has work to do with it, and who sends gets a turn.
                yield_now().await;
            }
        }
    };
    join(send, take).await;
    println!("  missed {}", parts.missed());
}

async fn listeners_that_await(bus: &Emitter) {
    println!("listeners that await");
    let _card = bus.listen::<Order>().named("card").on_async(|Order(number)| async move {
        sleep(MOMENT).await;
        if number == 13 {
            return Err("declined".into());
        }
        println!("  card: charged for {number}");
        Ok(())
    });
    let _mail = bus.listen::<Order>().named("mail").on_async(|Order(number)| async move {
        println!("  mail: thanks for {number}");
    });
    for number in [12, 13] {
        let emission = bus.emit_async(&Order(number)).await;
        println!("  {number}: heard {}, failed {}", emission.heard, emission.failed);
    }
}

async fn the_event_loop(bus: &Emitter) -> Result<(), BoxError> {
    println!("the event loop");
    let _ticks = bus.on_with(|Tick(number): &Tick, cx| {
        println!("  tick {number}");
        // What is queued by then is still delivered, and then the loop ends.
        if *number == 2 {
            cx.emitter().close();
        }
    });
    let _later = [bus.defer_in(2 * MOMENT, Tick(2)), bus.defer_in(MOMENT, Tick(1))];
    bus.defer(Tick(0))?;
    bus.run_async().await;
    println!("  closed");
    Ok(())
}
