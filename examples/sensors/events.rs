//! What the modules say to one another. It is all that they share.

use std::str::Utf8Error;

use hearken::TopicError;

/// A line of the input, whatever is in it.
#[derive(Default)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
    /// It was longer than `LONGEST`; the rest is not in `bytes`.
    pub(crate) is_cut: bool,
}

impl Line {
    /// In bytes. Without a limit, a file without line breaks would have to fit into memory.
    pub(crate) const LONGEST: usize = 1024;
}

/// A line that is meant to say nothing: a blank one, or the header.
pub(crate) struct NoReading;

/// What a sensor measured. Which sensor, the topic says: `building.3.floor.2.room.14.temperature`.
pub(crate) struct Reading {
    pub(crate) value: f64,
}

/// Emitted on `alarm.…`.
pub(crate) struct Alarm {
    /// Of the reading that set it off.
    pub(crate) value: f64,
}

/// A line that came to nothing. No event but an error: it goes to the bus's error channel.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {flaw}")]
pub(crate) struct BadLine {
    pub(crate) line: u64,
    #[source]
    pub(crate) flaw: Flaw,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("longer than {} bytes", Line::LONGEST)]
    TooLong,
    #[error("not UTF-8: {0}")]
    NotUtf8(#[from] Utf8Error),
    #[error("not `time,topic,value`: the number of its fields is {0}")]
    Fields(usize),
    #[error("not a number: {0:?}")]
    NotANumber(String),
    #[error(transparent)]
    Topic(#[from] TopicError),
}
