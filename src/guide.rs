//! Guides: longer than an item's documentation, with programs that run.

/// How to test what modules say and hear, with recorders, interceptors and a clock that a test sets.
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}
