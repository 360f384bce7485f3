//! Futures in boxes.

use std::pin::Pin;

/// A future that a [`Builder::spawner`](crate::Builder::spawner) is given to run to its end.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What an async listener, or a stream with no room, still has to do. Whether it failed.
pub(crate) type Work = Pin<Box<dyn Future<Output = bool> + Send>>;
