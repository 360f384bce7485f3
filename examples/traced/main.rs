//! One order's way through the queue, another thread and a timer, printed as one OpenTelemetry trace.
//!
//! ```sh
//! cargo run --example traced
//! ```
//!
//! Every emission is a span of `tracing`, so `tracing-opentelemetry` makes a span of it in OpenTelemetry. What is emitted in an emission is in
//! its span, by `tracing`'s own rules. What was deferred is not: when it is delivered, the span of its cause has ended long ago. `causes`
//! joins those by the ids in hearken's spans.

mod causes;

use std::thread;
use std::time::Duration;

use hearken::{BoxError, Clock, Emitter};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_stdout::SpanExporter;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

use causes::Causes;

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Placed {
    order: u32,
}

struct Invoice {
    order: u32,
}

struct Overdue {
    order: u32,
}

struct Mail {
    text: String,
}

fn main() -> Result<(), BoxError> {
    let provider = SdkTracerProvider::builder().with_simple_exporter(SpanExporter::default()).build();
    // The place in hearken's fields is that of the emission; the usual one would be where hearken makes its spans.
    let opentelemetry = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")).with_location(false);
    // The causes first: who is whose parent has to be known before OpenTelemetry's span begins.
    let subscriber =
        tracing_subscriber::registry().with(LevelFilter::DEBUG).with(Causes::default()).with(opentelemetry);
    tracing::subscriber::set_global_default(subscriber)?;

    let clock = Clock::manual();
    let shop = Emitter::builder().clock(clock.clone()).build(hearken::panic);
    listen(&shop);

    shop.topic("order.placed").emit(&Placed { order: 7 });
    // The office works on its own thread.
    let office = thread::Builder::new().name("office".to_owned());
    thread::scope(|threads| office.spawn_scoped(threads, || shop.drain()).map(|_| ()))?;
    clock.advance(A_DAY);
    shop.drain();

    // A day later, and in no chain with it.
    shop.topic("order.placed").emit(&Placed { order: 8 });
    provider.shutdown()?;
    Ok(())
}

/// An order has an invoice written, in the office. A day later somebody is reminded of it, by mail.
fn listen(shop: &Emitter) {
    shop.on_with(|placed: &Placed, cx| cx.emitter().defer(Invoice { order: placed.order }).map_err(Into::into))
        .detach();
    shop.on_with(|invoice: &Invoice, cx| cx.emitter().defer_in(A_DAY, Overdue { order: invoice.order }).detach())
        .detach();
    shop.on_with(|overdue: &Overdue, cx| {
        cx.emitter().emit(&Mail { text: format!("please pay for order {}", overdue.order) });
    })
    .detach();
    shop.on(|mail: &Mail| tracing::info!(text = mail.text, "sent")).detach();
}
