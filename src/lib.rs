#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod chain;
mod channels;
mod clock;
mod context;
mod dead_letters;
mod deferred;
mod discard;
mod dispatch;
mod emission;
mod emitter;
mod envelope;
mod errors;
mod failure;
mod flow;
#[cfg(feature = "async")]
mod future;
#[cfg(feature = "async")]
mod futures;
pub mod guide;
mod handle;
mod id;
mod inbox;
mod info;
mod listen;
mod listener;
mod mailbox;
mod overflow;
mod policy;
mod port;
mod queue;
mod raw;
mod record;
mod registry;
mod retry;
mod subscription;
mod sync;
mod topic;
mod topology;
mod trace;
mod watch;

pub use channels::{ignore, log, panic};
pub use clock::Clock;
pub use context::{AnyEvent, Context};
pub use dead_letters::{DeadLetter, DeadLetterId, DeadLetters, RedriveError};
pub use deferred::drain::Drained;
pub use deferred::event_loop::EventLoop;
pub use deferred::timer::Timer;
pub use emission::Emission;
pub use emitter::Builder;
pub use envelope::{Envelope, FromEnvelope};
pub use failure::{BoxError, Cause, Failure};
pub use flow::IntoFlow;
#[cfg(feature = "async")]
pub use future::BoxFuture;
#[cfg(feature = "async")]
pub use futures::{next::Next, stream::EventStream};
pub use handle::{Emitter, WeakEmitter};
pub use id::{EmissionId, ListenerId};
pub use inbox::{Inbox, InboxIter};
pub use info::ListenerInfo;
pub use listen::{Listen, TopicRef, TopicsRef};
pub use overflow::{DeferError, Overflow};
pub use port::Port;
pub use record::emitted::Emitted;
pub use record::recorder::{Recorder, WaitTimeout};
#[doc(hidden)]
pub use record::sequence::Step;
pub use retry::Retry;
pub use subscription::{Subscription, WouldDeadlock};
pub use topic::{Pattern, Topic, TopicError};
pub use topology::{EmitSite, Topology};
