//! Reads lines, from wherever they come, and puts them on the bus.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use hearken::{BoxError, Port};
use indicatif::{ProgressBar, ProgressStyle};

use crate::events::Line;

pub(crate) struct Input {
    /// What error messages call it.
    name: String,
    bytes: Box<dyn BufRead>,
    progress: ProgressBar,
}

impl Input {
    pub(crate) fn stdin() -> Self {
        Self::new("stdin".into(), io::stdin(), None)
    }

    pub(crate) fn file(path: &Path) -> Result<Self, BoxError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| cant_read(&name, &error))?;
        // A pipe has a name and no length.
        let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
        Ok(Self::new(name, file, length))
    }

    fn new(name: String, source: impl Read + 'static, length: Option<u64>) -> Self {
        let progress = progress_bar(length);
        let bytes = Box::new(BufReader::new(progress.wrap_read(source)));
        Self { name, bytes, progress }
    }

    /// The bar that shows on a terminal, for who prints beside it.
    pub(crate) fn progress(&self) -> ProgressBar {
        self.progress.clone()
    }

    /// Emits line after line, until the end. One line is in memory at a time.
    pub(crate) fn read(mut self, lines: &Port<Line>) -> Result<(), BoxError> {
        let mut line = Line::default();
        while next_line(&mut self.bytes, &mut line).map_err(|error| cant_read(&self.name, &error))? {
            lines.emit(&line);
        }
        Ok(())
    }
}

/// False at the end.
fn next_line(source: &mut impl BufRead, line: &mut Line) -> io::Result<bool> {
    line.bytes.clear();
    let enough = Line::LONGEST as u64 + 1;
    if source.take(enough).read_until(b'\n', &mut line.bytes)? == 0 {
        return Ok(false);
    }
    line.number += 1;
    line.bytes.pop_if(|last| *last == b'\n');
    line.is_cut = line.bytes.len() > Line::LONGEST;
    if line.is_cut {
        source.skip_until(b'\n')?;
    }
    Ok(true)
}

/// On stderr, and only where that is a terminal: `ProgressBar` sees to it.
fn progress_bar(length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:40} {bytes}/{total_bytes} {eta}"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the templates above are valid"))
}

fn cant_read(name: &str, error: &io::Error) -> BoxError {
    format!("can't read {name}: {error}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::strict_bus;

    /// The lines that are told of this input: their numbers, lengths and whether they are cut.
    fn told(input: Vec<u8>) -> Vec<(u64, usize, bool)> {
        let bus = strict_bus();
        let lines = bus.record_map(|line: &Line| (line.number, line.bytes.len(), line.is_cut));
        let input = Input::new("a test".into(), io::Cursor::new(input), None);
        input.read(&bus.port()).expect("it is in memory");
        lines.take()
    }

    #[test]
    fn every_line_is_told_with_its_number_and_without_its_end() {
        assert_eq!(told(b"one\n\nthree".to_vec()), [(1, 3, false), (2, 0, false), (3, 5, false)]);
        assert_eq!(told(b"one\n".to_vec()), [(1, 3, false)]);
        assert_eq!(told(Vec::new()), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let longest = Line::LONGEST;
        let input = [vec![b'x'; longest], b"\n".to_vec(), vec![b'x'; 3 * longest], b"\nend".to_vec()].concat();
        assert_eq!(told(input), [(1, longest, false), (2, longest + 1, true), (3, 3, false)]);
    }

    #[test]
    fn a_source_that_fails_is_an_error_with_its_name_behind_the_lines_before() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let bus = strict_bus();
        let lines = bus.record_map(|line: &Line| line.number);
        let input = Input::new("a test".into(), b"one\n".chain(Fails), None);
        let error = input.read(&bus.port()).expect_err("it fails");
        assert_eq!((lines.take(), error.to_string()), (vec![1], "can't read a test: gone".to_owned()));
    }
}
