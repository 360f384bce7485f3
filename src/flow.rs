//! What a listener's return value means to the emission.

use std::ops::ControlFlow;

/// What a listener may return.
///
/// | a listener returns | and the bus |
/// | --- | --- |
/// | `()` | goes on |
/// | `Result<(), E>` | goes on; an `Err` goes to the error channel |
/// | `ControlFlow<()>` | goes on, or stops this emission at `Break` |
/// | `Result<ControlFlow<()>, E>` | either |
/// | `!` | reports the panic, as it reports every panic, and goes on |
///
/// `E` is the emitter's error type, exactly: nothing is converted, so `?` infers inside a closure and turns an error into
/// `E` by `From`, as anywhere else. With the default [`BoxError`](crate::BoxError) that takes any error, and text.
///
/// ```
/// use std::ops::ControlFlow;
///
/// let bus = hearken::Emitter::new(hearken::log);
/// let _parse = bus.on(|line: &String| {
///     let n: u32 = line.parse()?;
///     println!("{n}");
///     Ok(())
/// });
/// let _gate = bus.on(|n: &u32| if *n > 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
/// ```
///
/// A listener that never returns `Ok` leaves open which `Result` it means: write `Err::<(), _>(…)`.
///
/// The trait is sealed: these five are all there is.
#[diagnostic::on_unimplemented(
    message = "a listener can't return `{Self}`",
    label = "this listener returns `{Self}`",
    note = "a listener returns `()`, `Result<(), E>`, `ControlFlow<()>` or `Result<ControlFlow<()>, E>`, where `E` is the \
            emitter's error type, here `{E}`",
    note = "to throw a value away, end the closure's body with `;`; to turn another error into `{E}`, use `?` and end with `Ok(())`"
)]
pub trait IntoFlow<E>: sealed::Sealed<E> {}

/// A listener's answer, as dispatch reads it.
#[derive(Debug)]
pub enum Flow<E> {
    Continue,
    Break,
    Fail(E),
    /// It turned out not to be there: its weak owner died between the look and the call.
    Gone,
    /// Its call is a future, and there is nobody to run it.
    #[cfg(feature = "async")]
    NoSpawner,
}

pub(crate) mod sealed {
    use super::Flow;

    pub trait Sealed<E> {
        #[doc(hidden)]
        fn into_flow(self) -> Flow<E>;
    }

    /// `!` can't be named on stable Rust, but what a `fn() -> !` returns can.
    pub trait Returns {
        type Output;
    }
    impl<O> Returns for fn() -> O {
        type Output = O;
    }
}

type Never = <fn() -> ! as sealed::Returns>::Output;

// The compiler need not list these impls: the trait's own notes say it in words.

#[diagnostic::do_not_recommend]
impl<E> IntoFlow<E> for () {}
impl<E> sealed::Sealed<E> for () {
    #[inline]
    fn into_flow(self) -> Flow<E> {
        Flow::Continue
    }
}

#[diagnostic::do_not_recommend]
impl<E> IntoFlow<E> for Result<(), E> {}
impl<E> sealed::Sealed<E> for Result<(), E> {
    #[inline]
    fn into_flow(self) -> Flow<E> {
        match self {
            Ok(()) => Flow::Continue,
            Err(error) => Flow::Fail(error),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<E> IntoFlow<E> for ControlFlow<()> {}
impl<E> sealed::Sealed<E> for ControlFlow<()> {
    #[inline]
    fn into_flow(self) -> Flow<E> {
        match self {
            ControlFlow::Continue(()) => Flow::Continue,
            ControlFlow::Break(()) => Flow::Break,
        }
    }
}

#[diagnostic::do_not_recommend]
impl<E> IntoFlow<E> for Result<ControlFlow<()>, E> {}
impl<E> sealed::Sealed<E> for Result<ControlFlow<()>, E> {
    #[inline]
    fn into_flow(self) -> Flow<E> {
        match self {
            Ok(flow) => flow.into_flow(),
            Err(error) => Flow::Fail(error),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<E> IntoFlow<E> for Never {}
impl<E> sealed::Sealed<E> for Never {
    fn into_flow(self) -> Flow<E> {
        self
    }
}
