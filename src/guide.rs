//! Guides: what to do when, at more length than one item's page has room for.

#[doc = include_str!("../docs/seeing.md")]
pub mod seeing {}
