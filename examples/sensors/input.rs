//! Reads lines, from wherever the arguments say, and puts them on the bus.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use hearken::{BoxError, Port};

use crate::events::Line;

pub(crate) struct Input {
    /// What error messages call it.
    name: String,
    bytes: Box<dyn BufRead>,
}

impl Input {
    pub(crate) fn from_args(mut args: impl Iterator<Item = OsString>) -> Result<Self, BoxError> {
        match (args.next(), args.next()) {
            (None, _) => Self::file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sensors/readings.csv")),
            (Some(dash), None) if dash == "-" => Ok(Self { name: "stdin".into(), bytes: Box::new(io::stdin().lock()) }),
            (Some(path), None) => Self::file(&PathBuf::from(path)),
            (Some(_), Some(_)) => Err("too many arguments; usage: sensors [FILE | -]".into()),
        }
    }

    fn file(path: &Path) -> Result<Self, BoxError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| cant_read(&name, &error))?;
        Ok(Self { name, bytes: Box::new(BufReader::new(file)) })
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

fn cant_read(name: &str, error: &io::Error) -> BoxError {
    format!("can't read {name}: {error}").into()
}
