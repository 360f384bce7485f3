//! Guides: what to do when, at more length than one item's page has room for, with programs that run.

#[doc = include_str!("../docs/seeing.md")]
#[doc = "\n## The graph, drawn\n\n<div>"]
#[doc = include_str!("../docs/order_flow.svg")]
#[doc = "</div>"]
pub mod seeing {}

/// How to test what modules say and hear, with recorders, interceptors and a clock that a test sets.
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}
