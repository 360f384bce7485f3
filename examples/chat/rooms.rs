//! What is said in a room goes to the browsers that are in it. Rooms are topics: nobody makes one, and nobody has to clean one up.

use std::sync::Arc;

use axum::extract::{Json, Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use hearken::{EventStream, TopicError, WeakEmitter};

use crate::events::{Flaw, Message, Said};

/// How many messages wait for a browser that is slow. Of more, it loses the oldest.
const PATIENCE: usize = 32;

/// What a browser is told that asked for something impossible.
type Refusal = (StatusCode, String);

/// `POST /rooms/{room}`
pub(crate) async fn say(
    State(bus): State<WeakEmitter>,
    Path(room): Path<String>,
    Json(message): Json<Message>,
) -> Result<StatusCode, Refusal> {
    let bus = bus.upgrade().ok_or_else(closing)?;
    let name = topic(&room);
    let topic = bus.try_topic(&name).map_err(no_such_room)?;
    let message = message.checked().map_err(no_such_message)?;
    // It waits for nobody: a stream that is full makes room.
    topic.emit(&Said(Arc::new(message)));
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /rooms/{room}`: Server-Sent Events, `said` and `missed`.
pub(crate) async fn hear(
    State(bus): State<WeakEmitter>,
    Path(room): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Refusal> {
    let bus = bus.upgrade().ok_or_else(closing)?;
    let name = topic(&room);
    let said = bus.try_topic(&name).map_err(no_such_room)?.listen::<Said>().capacity(PATIENCE).stream();
    // A comment now and then shows which browsers are gone.
    Ok(Sse::new(told(&room, said)).keep_alive(KeepAlive::default()))
}

/// What a browser gets: each message, and before one that comes after a gap, how many are missing. It is not asked for more than the
/// connection takes; then messages wait in the stream, each browser's in its own.
fn told(room: &str, said: EventStream<Said>) -> impl Stream<Item = Result<Event, axum::Error>> + use<> {
    let next = async |(mut said, told): (EventStream<Said>, u64)| {
        let Said(message) = said.next().await?;
        let missed = said.missed();
        let gap = (missed > told).then(|| Ok(Event::default().event("missed").data((missed - told).to_string())));
        let said_now = Event::default().event("said").json_data(&*message);
        Some((stream::iter(gap.into_iter().chain([said_now])), (said, missed)))
    };
    // The first event tells that the browser is in. Browsers skip an event without data, and axum writes none for "".
    let joined = Ok(Event::default().event("joined").data(room));
    stream::iter([joined]).chain(stream::unfold((said, 0), next).flatten())
}

fn topic(room: &str) -> String {
    format!("room.{room}")
}

fn no_such_room(error: TopicError) -> Refusal {
    (StatusCode::BAD_REQUEST, error.to_string())
}

fn no_such_message(flaw: Flaw) -> Refusal {
    (StatusCode::BAD_REQUEST, flaw.to_string())
}

fn closing() -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, "the chat is closing".to_owned())
}
