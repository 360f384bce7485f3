//! The test kit: recorders, and who they record for.

pub(crate) mod emitted;
pub(crate) mod recorder;
pub(crate) mod seen;
pub(crate) mod sequence;
pub(crate) mod tap;
pub(crate) mod unheard;
