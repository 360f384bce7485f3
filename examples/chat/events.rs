//! What goes over the bus.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Somebody said something. In which room, the topic says: `room.lobby`. Each browser's stream keeps a copy, which shares the text.
#[derive(Clone)]
pub(crate) struct Said(pub(crate) Arc<Message>);

/// As browsers send and get it.
#[derive(Deserialize, Serialize)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Message {
    const LONGEST_NAME: usize = 40;
    const LONGEST_TEXT: usize = 2_000;

    /// The message without the white space around it, or what is wrong with it.
    pub(crate) fn checked(self) -> Result<Self, Flaw> {
        let Self { name, text } = self;
        let name = checked("name", &name, Self::LONGEST_NAME)?;
        let text = checked("text", &text, Self::LONGEST_TEXT)?;
        Ok(Self { name, text })
    }
}

fn checked(what: &'static str, text: &str, longest: usize) -> Result<String, Flaw> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Flaw::Empty(what));
    }
    let length = text.chars().count();
    if length > longest {
        return Err(Flaw::TooLong { what, length, longest });
    }
    Ok(text.to_owned())
}

/// Why a message is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("the {0} is empty")]
    Empty(&'static str),
    #[error("the {what} has {length} characters: {longest} is the most")]
    TooLong { what: &'static str, length: usize, longest: usize },
}

/// Somebody pressed Ctrl-C.
#[derive(Clone)]
pub(crate) struct Interrupted;
