//! Joins emissions across the queue into one trace.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

/// How many emissions are remembered. What is deferred for longer than that begins a trace of its own.
const REMEMBERED: usize = 10_000;

/// Gives the span of an emission that is in no other the span of its cause as its parent in OpenTelemetry. `tracing` itself has no way to: a
/// parent must be open there, and that one may be closed.
#[derive(Default)]
pub(crate) struct Causes(Mutex<Spans>);

/// The spans of the latest emissions, by hearken's ids.
#[derive(Default)]
struct Spans {
    by_id: HashMap<u64, SpanContext>,
    in_order: VecDeque<u64>,
}

impl Spans {
    fn remember(&mut self, id: u64, span: SpanContext) {
        if self.in_order.len() == REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.in_order.push_back(id);
        self.by_id.insert(id, span);
    }
}

/// The fields of hearken's spans that this is about.
#[derive(Default)]
struct Ids {
    id: Option<u64>,
    cause: Option<u64>,
}

impl Visit for Ids {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "id" => self.id = Some(value),
            "cause" => self.cause = Some(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Causes {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        if span.metadata().target() == "hearken"
            && let Some(made) = context.span(id)
        {
            let mut ids = Ids::default();
            span.record(&mut ids);
            made.extensions_mut().insert(ids);
        }
    }

    fn on_enter(&self, id: &Id, context: layer::Context<'_, S>) {
        // Taken: a span is entered again for the turns of deferred listeners.
        let entered =
            context.span(id).and_then(|span| Some((span.extensions_mut().remove()?, span.parent().is_none())));
        let Some((Ids { id: Some(id), cause }, is_outermost)) = entered else { return };
        let spans = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let this = Span::current();
        let parent = cause.and_then(|cause| spans().by_id.get(&cause).cloned());
        if let Some(parent) = parent.filter(|_| is_outermost) {
            // It can't: this layer sees the span before OpenTelemetry's begins it.
            let _ = this.set_parent(Context::new().with_remote_span_context(parent));
        }
        let span = this.context().span().span_context().clone();
        spans().remember(id, span);
    }
}
