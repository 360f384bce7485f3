//! Guides: what to do when, at more length than one item's page has room for.

#[doc = include_str!("../docs/seeing.md")]
#[doc = "\n## The graph, drawn\n\n<div>"]
#[doc = include_str!("../docs/order_flow.svg")]
#[doc = "</div>"]
pub mod seeing {}
