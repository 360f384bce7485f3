//! What the tests of the contract share.
#![allow(dead_code, reason = "every test file uses another part of it")]

pub(crate) mod queue;

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use hearken::{BoxError, Builder, Cause, Emitter, Failure};
use tracing::subscriber::with_default;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The same, where a test waits for several things in turn.
pub(crate) const SOON: Duration = Duration::from_secs(8);
/// How long a test gives what must not happen.
pub(crate) const MOMENT: Duration = Duration::from_millis(50);

/// A list that listeners write to.
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn add(&self, entry: T) {
        self.entries().push(entry);
    }

    /// What was written since the last look.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.entries())
    }

    fn entries(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A bus on which nothing may fail.
pub(crate) fn strict_bus() -> Emitter {
    Emitter::new(hearken::panic)
}

/// A bus, and what its failures say.
pub(crate) fn logging_bus() -> (Emitter, Log<String>) {
    let failures = Log::new();
    let channel = failures.clone();
    (Emitter::new(move |failure| channel.add(text(&failure))), failures)
}

/// What a failure says, without who and where.
pub(crate) fn text(failure: &Failure) -> String {
    match failure.cause() {
        Cause::Error(error) => error.to_string(),
        Cause::Panic(message) => message.to_string(),
        Cause::TooDeep { .. } => "too deep".to_owned(),
        other => panic!("an unexpected cause: {other:?}"),
    }
}

/// A bus of this make, and what its failures say; of those that were lost: how many, and of which type.
pub(crate) fn reporting_bus(make: Builder) -> (Emitter, Log<String>) {
    let failures = Log::new();
    let channel = failures.clone();
    let report = move |failure: Failure| match failure.cause() {
        Cause::Lost { missed } => channel.add(format!("lost {missed} {}", failure.event())),
        _ => channel.add(text(&failure)),
    };
    (make.build(report), failures)
}

/// What a listener returns that fails.
pub(crate) fn fail(message: &str) -> Result<(), BoxError> {
    Err(message.into())
}

/// Counts how many of its tokens were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn token(&self) -> Token {
        Token(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a closure captures to show when it is dropped.
pub(crate) struct Token(Drops);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped.
pub(crate) struct Bomb(pub(crate) &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(thread::panicking(), "{}", self.0);
    }
}

/// Calls back when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// For a closure to capture something it has no other use for.
pub(crate) fn keep<T>(_: &T) {}

/// What arrives, or a failed test where a broken bus would hang.
#[track_caller]
pub(crate) fn wait<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it should have happened by now")
}

/// The same, where a test waits for several things in turn.
#[track_caller]
pub(crate) fn soon<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(SOON).expect("it should have happened by now")
}

/// Runs this on a thread of its own, and fails the test if it hangs.
#[track_caller]
pub(crate) fn in_time<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, is_done) = channel();
    let thread = thread::spawn(move || drop(done.send(run())));
    match is_done.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(payload) => resume_unwind(payload),
            Ok(()) => unreachable!("it sends before it ends"),
        },
    }
}

/// Runs this on tokio's threads, then on a bare executor, and fails the test if it hangs on one of them.
#[track_caller]
pub(crate) fn on_both<F: Future<Output = ()> + Send + 'static>(body: impl Fn() -> F) {
    on_tokio(body());
    on_bare(body());
}

#[track_caller]
fn on_tokio(future: impl Future<Output = ()> + Send + 'static) {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        match runtime.block_on(runtime.spawn(future)) {
            Ok(()) => {}
            Err(error) => resume_unwind(error.into_panic()),
        }
    };
    in_time_for("tokio", run);
}

#[track_caller]
fn on_bare(future: impl Future<Output = ()> + Send + 'static) {
    in_time_for("the bare executor", move || futures_executor::block_on(future));
}

#[track_caller]
fn in_time_for(runtime: &str, run: impl FnOnce() + Send + 'static) {
    let (done, is_done) = channel();
    let thread = thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    match is_done.recv_timeout(SOON) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("it hangs on {runtime}"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(payload) => resume_unwind(payload),
            Ok(()) => unreachable!("it sends before it ends"),
        },
    }
}

/// Lets others have their turn.
pub(crate) async fn step_aside() {
    let mut is_back = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut is_back, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::<Self>::default();
        (Arc::clone(&wakes), wakes.into())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// One poll.
pub(crate) fn poll<F: Future + Unpin + ?Sized>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A panic that was caught: what it said, and the line of the file that it names.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Caught {
    pub(crate) message: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

thread_local! { static LAST_PLACE: RefCell<(String, u32)> = const { RefCell::new((String::new(), 0)) } }

/// The panic that this ends with, if it ends with one.
pub(crate) fn caught<R>(run: impl FnOnce() -> R) -> Option<Caught> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if let Some(place) = info.location() {
                // Not in a thread-local's destructor: there it may be gone.
                let _ = LAST_PLACE.try_with(|last| *last.borrow_mut() = (place.file().to_owned(), place.line()));
            }
            others(info);
        }));
    });
    let payload = catch_unwind(AssertUnwindSafe(run)).err()?;
    let (file, line) = LAST_PLACE.take();
    Some(Caught { message: message(&*payload), file, line })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref().cloned()).unwrap_or_else(|| "no text".to_owned())
}

/// What is traced while this runs.
pub(crate) fn traced<R>(run: impl FnOnce() -> R) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).without_time();
    with_default(subscriber.finish(), run);
    let lines = lines.0.lock().unwrap();
    String::from_utf8(lines.clone()).unwrap()
}
