//! The bus's own data structures. No user code runs in here, not even a destructor: what is removed is handed back, and
//! whoever asked lets go of it with every lock open.

pub(crate) mod backlog;
pub(crate) mod frame;
pub(crate) mod gate;
pub(crate) mod roll;
pub(crate) mod shards;
pub(crate) mod sights;
pub(crate) mod snapshot;
pub(crate) mod table;
pub(crate) mod trie;
pub(crate) mod types;
