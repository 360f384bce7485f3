//! What was emitted and nobody heard, type by type.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::tap::{Tap, tap_unheard};
use crate::handle::Emitter;
use crate::info::Place;
use crate::sync::Mutex;

/// The types of events that were emitted since, and that nobody heard.
pub(crate) struct Unheard {
    strays: Arc<Mutex<Vec<Stray>>>,
    _tap: Tap,
}

/// A type that nobody heard.
#[derive(Clone, Copy)]
struct Stray {
    event: &'static str,
    times: u64,
    /// The place that emitted it first.
    emitted_at: &'static Location<'static>,
}

impl Unheard {
    /// `but`: the type that the recorder itself heard.
    #[track_caller]
    pub(crate) fn new<E: Send + Sync + 'static>(emitter: &Emitter<E>, but: &'static str) -> Self {
        let strays = Arc::<Mutex<Vec<Stray>>>::default();
        let noted = Arc::clone(&strays);
        let tap = tap_unheard(emitter, move |scene| {
            let mut noted = noted.lock();
            match noted.iter_mut().find(|stray| stray.event == scene.event) {
                Some(stray) => stray.times += 1,
                None if scene.event == but => {}
                None => noted.push(Stray { event: scene.event, times: 1, emitted_at: scene.emitted_at }),
            }
        });
        Self { strays, _tap: tap }
    }
}

/// Nothing if there are none.
impl fmt::Display for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strays = self.strays.lock().clone();
        if strays.is_empty() {
            return Ok(());
        }
        write!(f, "\nNobody heard these, emitted meanwhile; is one of them what was meant, as another type?")?;
        for Stray { event, times, emitted_at } in strays {
            let times = if times == 1 { String::new() } else { format!(", {times} times, first") };
            write!(f, "\n  {event}{times} at {}", Place(emitted_at))?;
        }
        Ok(())
    }
}
