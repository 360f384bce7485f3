#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod channels;
mod context;
mod discard;
mod dispatch;
mod emission;
mod emitter;
mod failure;
mod flow;
mod handle;
mod id;
mod info;
mod listen;
mod listener;
mod policy;
mod port;
mod raw;
mod record;
mod registry;
mod subscription;
mod sync;
mod topic;

pub use channels::{ignore, log, panic};
pub use context::{AnyEvent, Context};
pub use emission::Emission;
pub use emitter::Builder;
pub use failure::{BoxError, Cause, Failure};
pub use flow::IntoFlow;
pub use handle::{Emitter, WeakEmitter};
pub use id::{EmissionId, ListenerId};
pub use info::ListenerInfo;
pub use listen::{Listen, TopicRef, TopicsRef};
pub use port::Port;
pub use record::Recorder;
pub use subscription::{Subscription, WouldDeadlock};
pub use topic::{Pattern, Topic, TopicError};
