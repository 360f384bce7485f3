//! A chat: browsers post messages, and get those of their room by Server-Sent Events through the bus. A room is a topic, such as `room.lobby`,
//! and a browser in it is a stream of 32 messages at most: one that is slow loses the oldest, is told how many, and keeps nobody waiting.
//!
//! ```sh
//! cargo run --example chat --features async                # then open http://127.0.0.1:3000, twice
//! cargo run --example chat --features async -- --port 0    # on a port that is free
//! ```
//!
//! Ctrl-C ends it: the bus goes, so every stream ends, and so every connection.

mod arguments;
mod events;
mod rooms;

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Html;
use axum::routing::get;
use hearken::{BoxError, Cause, Emitter, Failure, WeakEmitter};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::arguments::Arguments;
use crate::events::Interrupted;

/// The largest body of a request, in bytes. The longest message fits, also if each of its characters is escaped.
const LARGEST: usize = 32 * 1024;

/// How much the system keeps for a browser that doesn't read. What is more waits in the browser's stream.
const KEPT_BY_SYSTEM: u32 = 64 * 1024;

/// How long browsers have to take what is on its way when the chat ends.
const FAREWELL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tell(&format_args!("chat: {problem}"));
            ExitCode::from(2)
        }
    }
}

#[tokio::main]
async fn run() -> Result<(), BoxError> {
    let Arguments { port, time } = Arguments::parse(env::args_os().skip(1))?;
    let bus = Emitter::new(failed);
    let interrupted = bus.next::<Interrupted>();
    // All others hold it weakly, so that it goes when this function lets go of it.
    ctrlc::set_handler({
        let bus = bus.downgrade();
        move || {
            if let Some(bus) = bus.upgrade() {
                bus.emit(&Interrupted);
            }
        }
    })?;
    let listener = listen(port).map_err(|error| format!("can't listen on port {port}: {error}"))?;
    print(&format_args!("listening on http://{}\n", listener.local_addr()?))?;

    let (router, (over, is_over)) = (router(bus.downgrade()), oneshot::channel::<()>());
    let closing = async move {
        // Either way it is over.
        let _ = timeout(time.unwrap_or(Duration::MAX), interrupted).await;
        drop(bus);
        drop(over);
    };
    let impatient = async move {
        // Nothing is ever sent: it waits for the other end to go.
        let _ = is_over.await;
        sleep(FAREWELL).await;
    };
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(closing) => Ok(served?),
        // A browser that takes nothing must not keep the chat open.
        () = impatient => Ok(()),
    }
}

fn router(bus: WeakEmitter) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/rooms/{room}", get(rooms::hear).post(rooms::say))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(bus)
}

/// On this machine only: the chat knows no users, and asks for no password.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Else a port would stay taken for a while after the chat has ended.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(KEPT_BY_SYSTEM)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(1024)
}

/// The bus's error channel.
fn failed(failure: Failure) {
    // Who missed something is told, by `rooms`. Anything else is a bug.
    if !matches!(failure.cause(), Cause::Lost { .. }) {
        tell(&failure);
    }
}

/// Prints to stdout. A reader that left early has seen enough.
fn print(text: &dyn fmt::Display) -> Result<(), BoxError> {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("can't print: {error}").into()),
        _ => Ok(()),
    }
}

/// Writes a line to stderr, in one go. If nobody reads it, nobody wants it.
fn tell(text: &dyn fmt::Display) {
    let mut line = String::new();
    for c in text.to_string().chars() {
        // What comes from outside must neither break the line nor command the terminal.
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line.push('\n');
    let _ = io::stderr().write_all(line.as_bytes());
}
