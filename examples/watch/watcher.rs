//! Has the operating system tell what happens in a folder, and puts it on the bus.
//!
//! It is told on a thread of its own, which must not be kept from asking for more. So changes are deferred: the event loop delivers them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hearken::{BoxError, Emitter, Subscription};
use notify::event::{ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::events::{Change, Trouble};

pub(crate) struct Watcher {
    system: RecommendedWatcher,
    told: Arc<AtomicU64>,
    is_over: Receiver<()>,
    _hears: Subscription,
}

impl Watcher {
    pub(crate) fn new(bus: &Emitter, folder: &Path) -> Result<Self, BoxError> {
        let cant_watch = |why: &dyn std::fmt::Display| format!("can't watch {}: {why}", folder.display());
        if !fs::metadata(folder).map_err(|error| cant_watch(&error))?.is_dir() {
            return Err(cant_watch(&io::Error::from(io::ErrorKind::NotADirectory)).into());
        }
        // Nobody waits for the system's thread, so it can't return an error. It tells of one, and this listener returns it.
        let trouble =
            bus.listen::<Trouble>().named("watcher").on(|trouble: &Trouble| Err::<(), _>(trouble.clone().into()));

        let (told, (over, is_over)) = (Arc::default(), channel());
        let source = Source { bus: bus.clone(), told: Arc::clone(&told), _over: over };
        let tell = move |event| source.tell(event);
        let mut system = notify::recommended_watcher(tell).map_err(|error| cant_watch(&error))?;
        system.watch(folder, RecursiveMode::Recursive).map_err(|error| cant_watch(&explain(error)))?;
        Ok(Self { system, told, is_over, _hears: trouble })
    }

    /// Stops, and waits until the system tells no more. How many changes it told of.
    pub(crate) fn end(self) -> u64 {
        drop(self.system);
        // Nothing is ever sent: it waits for the other end to go, with the system's thread.
        let _ = self.is_over.recv_timeout(Duration::from_secs(5));
        self.told.load(Relaxed)
    }
}

/// What the system's thread works on.
struct Source {
    bus: Emitter,
    told: Arc<AtomicU64>,
    _over: Sender<()>,
}

impl Source {
    fn tell(&self, event: notify::Result<notify::Event>) {
        let event = match event {
            Ok(event) if event.need_rescan() => return self.tell_trouble(Trouble::Missed),
            Ok(event) => event,
            Err(error) => return self.tell_trouble(Trouble::System(explain(error))),
        };
        if let Some((kind, is_gone)) = kind(event.kind) {
            event.paths.into_iter().for_each(|path| self.tell_change(kind, Change { path, is_gone }));
        }
    }

    fn tell_change(&self, kind: &str, change: Change) {
        // A name from outside, which need not be valid in a topic.
        let extension = change.path.extension().and_then(|extension| extension.to_str()).unwrap_or(NONE);
        let (topic, plain) = (format!("fs.{kind}.{extension}"), format!("fs.{kind}.{NONE}"));
        let topic = self.bus.try_topic(&topic).unwrap_or_else(|_| self.bus.topic(&plain));
        self.told.fetch_add(1, Relaxed);
        // It waits for room if need be, as the loop makes some. Past the end of the loop nobody wants it, and the summary shows it.
        drop(topic.defer(change));
    }

    fn tell_trouble(&self, trouble: Trouble) {
        drop(self.bus.defer(trouble));
    }
}

/// What stands for the extension where there is none, or none that may be part of a topic.
const NONE: &str = "none";

/// What happened, as a segment of a topic, and whether the path is gone. None if nothing changed.
fn kind(kind: EventKind) -> Option<(&'static str, bool)> {
    match kind {
        // Both halves of a renaming were told of already.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Some(("renamed", true)),
        EventKind::Modify(ModifyKind::Name(_)) => Some(("renamed", false)),
        EventKind::Modify(_) => Some(("modified", false)),
        EventKind::Create(_) => Some(("created", false)),
        EventKind::Remove(_) => Some(("removed", true)),
        EventKind::Any | EventKind::Other => Some(("changed", false)),
    }
}

/// Without the paths that notify would put behind it in brackets.
fn explain(error: notify::Error) -> String {
    let paths: Vec<PathBuf> = error.paths;
    let what = notify::Error { kind: error.kind, paths: Vec::new() }.to_string();
    paths.iter().fold(what, |what, path| format!("{what}: {}", path.display()))
}
