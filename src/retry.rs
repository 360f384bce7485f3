//! How a listener is given another try.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::failure::{BoxError, Cause};

/// How often, and after which times, a listener that failed is called again: what [`Listen::retry`](crate::Listen::retry) takes.
///
/// ```
/// use std::time::Duration;
/// use hearken::{BoxError, Retry};
///
/// let retry = Retry::attempts(5)
///     .backoff(Duration::from_secs(1)) // then 2, 4, 8 s
///     .max_delay(Duration::from_secs(5)) // so 2, 4, 5 s
///     .jitter() // and up to half of each less
///     .when(|error: &BoxError| error.to_string() != "no such card");
/// # drop(retry);
/// ```
///
/// # Source
///
/// The doubling delay with a cap is the truncated exponential backoff of networks. Its jitter is the kind that keeps half of the delay, so that
/// a delay is never next to nothing.
pub struct Retry<E = BoxError> {
    attempts: NonZeroU32,
    first_delay: Duration,
    max_delay: Duration,
    has_jitter: bool,
    when: Option<Predicate<E>>,
}

type Predicate<E> = Box<dyn Fn(&E) -> bool + Send + Sync>;

impl<E> Retry<E> {
    /// At most so many calls for one event, the first one included. The second follows a tenth of a second after the first, each other one
    /// after twice the time before, and none after more than a minute.
    ///
    /// # Panics
    ///
    /// If it is 0: the first call is an attempt, too.
    #[track_caller]
    pub fn attempts(calls: u32) -> Self {
        let Some(attempts) = NonZeroU32::new(calls) else {
            panic!(
                "`Retry::attempts(0)` would never call the listener: the first call is an attempt, so ask for 2 or more"
            );
        };
        Self {
            attempts,
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(60),
            has_jitter: false,
            when: None,
        }
    }

    /// The delay before the second call; doubled before each one behind that.
    pub fn backoff(mut self, first_delay: Duration) -> Self {
        self.first_delay = first_delay;
        self
    }

    /// The longest delay.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Takes a part of each delay away, up to half of it and at random: so that what failed together is not tried again together.
    pub fn jitter(mut self) -> Self {
        self.has_jitter = true;
        self
    }

    /// Gives another try only after errors for which this is true; the others fail for good, at once. Panics are given another try either way.
    ///
    /// It runs on the thread that called the listener. Its own panic counts as no, and is a failure.
    pub fn when(mut self, is_worth_it: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Box::new(is_worth_it));
        self
    }

    /// The delay behind so many calls that failed with this one's cause; none if that was the last. Runs user code.
    pub(crate) fn delay(&self, calls: u32, cause: &Cause<E>) -> Option<Duration> {
        let is_worth_it = match (cause, &self.when) {
            (Cause::Error(error), Some(when)) => when(error),
            (Cause::Error(_), None) | (Cause::Panic(_), _) => true,
            _ => false,
        };
        if !is_worth_it || calls >= self.attempts.get() {
            return None;
        }
        let doubled = 1_u32.checked_shl(calls - 1).unwrap_or(u32::MAX);
        let delay = self.first_delay.saturating_mul(doubled).min(self.max_delay);
        Some(if self.has_jitter { delay / 2 + a_part_of(delay / 2) } else { delay })
    }

    /// Takes out what is the user's, to be dropped.
    pub(crate) fn release(&mut self) -> impl Sized + use<E> {
        self.when.take()
    }
}

/// At random.
fn a_part_of(whole: Duration) -> Duration {
    // The keys of each state are new: no generator is needed for one number now and then.
    let random = RandomState::new().hash_one(());
    #[expect(clippy::cast_precision_loss, reason = "a jitter needs no more than 52 bits")]
    let part = (random >> 12) as f64 / (1_u64 << 52) as f64;
    whole.mul_f64(part)
}

// A panic of the predicate leaves it as it was.
impl<E> UnwindSafe for Retry<E> {}
impl<E> RefUnwindSafe for Retry<E> {}

impl<E> fmt::Debug for Retry<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("attempts", &self.attempts)
            .field("first_delay", &self.first_delay)
            .field("max_delay", &self.max_delay)
            .field("has_jitter", &self.has_jitter)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(retry: &Retry<()>) -> Vec<Duration> {
        let cause = Cause::Error(().into());
        (1..).map_while(|calls| retry.delay(calls, &cause)).collect()
    }

    #[test]
    fn delays_double_up_to_the_longest_and_end_with_the_attempts() {
        let retry = Retry::attempts(6).backoff(Duration::from_secs(1)).max_delay(Duration::from_secs(5));
        assert_eq!(delays(&retry), [1, 2, 4, 5, 5].map(Duration::from_secs));
        assert!(delays(&Retry::attempts(1)).is_empty());
    }

    #[test]
    fn the_longest_delay_is_never_passed_however_often_it_doubles() {
        let retry = Retry::attempts(200).backoff(Duration::from_secs(u64::MAX / 2)).max_delay(Duration::MAX);
        assert_eq!(delays(&retry)[198], Duration::MAX);
    }

    #[test]
    fn jitter_leaves_at_least_half_of_each_delay_and_not_always_the_same() {
        let whole = Duration::from_secs(8);
        let retry = Retry::attempts(100).backoff(whole).max_delay(whole).jitter();
        let delays = delays(&retry);
        assert!(delays.iter().all(|&delay| delay <= whole && delay >= whole / 2), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay != delays[0]), "{delays:?}");
    }

    #[test]
    fn only_what_is_worth_it_is_tried_again_and_a_panic_always() {
        let retry = Retry::<u32>::attempts(2).when(|error| *error > 3);
        assert!(retry.delay(1, &Cause::Error(4.into())).is_some());
        assert!(retry.delay(1, &Cause::Error(3.into())).is_none());
        assert!(retry.delay(1, &Cause::Panic("on purpose".into())).is_some());
        assert!(retry.delay(1, &Cause::NoSpawner).is_none());
    }
}
