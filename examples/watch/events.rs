//! What the modules say to one another. It is all that they share.

use std::path::PathBuf;

/// Something happened to a file or a folder. What, and to which kind of file, the topic says: `fs.created.rs`.
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    /// Nothing is left at this path.
    pub(crate) is_gone: bool,
}

/// Nothing has happened to this path for a while.
pub(crate) struct Settled {
    pub(crate) path: PathBuf,
}

/// Somebody pressed Ctrl-C.
#[derive(Clone)]
pub(crate) struct Interrupted;

/// What goes wrong with watching itself. A listener makes a failure of it, so that it goes to the bus's error channel.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("changes came faster than the system could keep them: some are missing")]
    Missed,
    #[error("{0}")]
    System(String),
}
