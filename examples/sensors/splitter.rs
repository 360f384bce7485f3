//! Splits lines into fields.

use std::collections::VecDeque;

use csv::{Reader, ReaderBuilder, StringRecord, Terminator, Trim};

/// Of its own, because a reader of the whole input would have a quote that is never closed swallow all the lines behind it, and would pass
/// over blank ones in silence. This one is given line by line.
pub(crate) struct Splitter(Reader<VecDeque<u8>>);

impl Splitter {
    pub(crate) fn new() -> Self {
        let mut csv = ReaderBuilder::new();
        csv.has_headers(false).flexible(true).trim(Trim::All).terminator(Terminator::Any(b'\n'));
        Self(csv.from_reader(VecDeque::new()))
    }

    /// The fields of a line that isn't blank.
    pub(crate) fn split(&mut self, line: &str) -> StringRecord {
        self.0.get_mut().extend(line.bytes().chain(*b"\n"));
        let mut fields = StringRecord::new();
        // It can't fail: text in memory is read, and any number of fields is fine.
        let _ = self.0.read_record(&mut fields);
        if line.contains('"') {
            // Perhaps it was never closed, and this reader is still inside of it. A new one takes longer than a line.
            *self = Self::new();
        }
        fields
    }
}
