//! Policies: each wraps a listener and answers dispatch's questions for it. Dispatch knows no kinds beside these answers.

pub(crate) mod deferred;
pub(crate) mod filter;
pub(crate) mod retry;
pub(crate) mod silent;
pub(crate) mod times;
pub(crate) mod watched;
pub(crate) mod weak;
