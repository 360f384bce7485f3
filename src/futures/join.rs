//! Several futures as one.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::future::Work;
use crate::sync::Mutex;

/// Runs futures at once, and ends when all have. It polls only those that were woken, and wakes its own task once for however many.
pub(crate) struct Join {
    running: Vec<Option<(Work, Waker)>>,
    left: usize,
    failed: usize,
    woken: Arc<Woken>,
}

struct Woken {
    state: Mutex<State>,
}

struct State {
    /// Whose turn it is.
    ready: Vec<usize>,
    /// Who polls all of them; none while it does, and when it was woken already.
    task: Option<Waker>,
}

struct Turn {
    index: usize,
    woken: Arc<Woken>,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = {
            let mut state = self.woken.state.lock();
            if !state.ready.contains(&self.index) {
                state.ready.push(self.index);
            }
            state.task.take()
        };
        // With the lock open: what a waker does is the user's.
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Join {
    pub(crate) fn new(works: Vec<Work>) -> Self {
        let left = works.len();
        let woken = Arc::new(Woken { state: Mutex::new(State { ready: (0..left).collect(), task: None }) });
        let start = |(index, work)| Some((work, Waker::from(Arc::new(Turn { index, woken: Arc::clone(&woken) }))));
        let running = works.into_iter().enumerate().map(start).collect();
        Self { running, left, failed: 0, woken }
    }
}

/// Gives how many of them failed.
impl Future for Join {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let join = self.get_mut();
        let ready = {
            let mut state = join.woken.state.lock();
            let before = state.task.take();
            let ready = std::mem::take(&mut state.ready);
            drop(state);
            drop(before);
            ready
        };
        for index in ready {
            let Some((work, waker)) = &mut join.running[index] else { continue };
            if let Poll::Ready(has_failed) = work.as_mut().poll(&mut Context::from_waker(waker)) {
                join.failed += usize::from(has_failed);
                join.left -= 1;
                join.running[index] = None;
            }
        }
        if join.left == 0 {
            return Poll::Ready(join.failed);
        }
        let task = cx.waker().clone();
        let mut state = join.woken.state.lock();
        if state.ready.is_empty() {
            state.task = Some(task);
        } else {
            // Woken while they were polled, perhaps by themselves: the executor's other tasks go first.
            drop(state);
            task.wake();
        }
        Poll::Pending
    }
}
