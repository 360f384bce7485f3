//! Who listens to what.
//!
//! A channel is the listeners of one type, or of every type. Its roll is changed under its lock; emissions read a snapshot
//! of it, which a change takes out and the next emission makes anew. A snapshot has the listeners of every type in it too,
//! so one load tells an emission everybody it may call.

use std::any::{Any, TypeId, type_name};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::id::{Key, ListenerId};
use crate::listener::Listener;
use crate::raw::roll::{Chunks, Entry, Mark, Roll};
use crate::raw::snapshot::{Cell, Loaded};
use crate::raw::types::TypeTable;
use crate::sync::{AtomicBool, Mutex, Ordering};

pub(crate) type ListenerRef<T, E> = Arc<dyn Listener<T, E>>;

pub(crate) struct Channel<T: ?Sized, E> {
    /// Its number in the registry.
    pub(crate) home: u32,
    /// What its listeners hear, for people.
    pub(crate) event: &'static str,
    book: Mutex<Book<T, E>>,
    snapshot: Cell<Snapshot<T, E>>,
}

struct Book<T: ?Sized, E> {
    roll: Roll<ListenerRef<T, E>>,
    /// Whether the cell holds a snapshot.
    is_published: bool,
    /// With how many listeners to suspect a leak; taken when that was said.
    crowd: Option<NonZeroUsize>,
}

/// Everybody whom an emission of this channel's type may call.
pub(crate) struct Snapshot<T: ?Sized, E> {
    pub(crate) own: Chunks<ListenerRef<T, E>>,
    pub(crate) any: Chunks<ListenerRef<dyn Any, E>>,
    pub(crate) unheard: Chunks<ListenerRef<dyn Any, E>>,
}

/// A channel of whatever type.
///
/// The methods drop what they take out, with no lock held; it may be the last of several closures. Callers say so to the
/// thread's frame before.
pub(crate) trait AnyChannel<E>: Any + Send + Sync {
    /// Takes the snapshot out, because it no longer tells the truth.
    fn invalidate(&self);
    fn remove(&self, key: Key);
    /// Switches the listener of this key off and removes it. True if there is one, and it wasn't off.
    fn off(&self, key: Key) -> bool;
    /// Switches all off and removes them. How many were not off.
    fn off_all(&self) -> usize;
    /// Notes the present word of the listener of this key as the one under which it can be called.
    fn note(&self, key: Key);
}

impl<T: ?Sized, E> Channel<T, E> {
    fn new(home: u32, event: &'static str, crowd: Option<NonZeroUsize>) -> Self {
        let book = Book { roll: Roll::new(), is_published: false, crowd };
        Self { home, event, book: Mutex::new(book), snapshot: Cell::empty() }
    }

    /// Runs under the lock, so it may not run user code; what it returns is dropped by the caller, outside.
    fn change<R>(&self, change: impl FnOnce(&mut Book<T, E>) -> R) -> (R, Option<Arc<Snapshot<T, E>>>) {
        let mut book = self.book.lock();
        let stale = if std::mem::take(&mut book.is_published) { self.snapshot.take() } else { None };
        (change(&mut book), stale)
    }

    pub(crate) fn insert(&self, priority: i32, value: ListenerRef<T, E>) -> ListenerId {
        let noted = value.gate().word().plain();
        let ((key, crowd), _stale) = self.change(|book| {
            let key = Key::next(priority);
            book.roll.insert(Entry { mark: Mark::new(key, noted), value });
            let is_crowd = book.crowd.take_if(|crowd| book.roll.len() > crowd.get()).is_some();
            (key, is_crowd.then(|| book.roll.chunks()))
        });
        if let Some(crowd) = crowd {
            self.suspect_a_leak(&crowd);
        }
        ListenerId::new(self.home, key)
    }

    /// Says who they are, by the places in the source that added them, most first.
    #[cold]
    fn suspect_a_leak(&self, crowd: &Chunks<ListenerRef<T, E>>) {
        let mut places = HashMap::new();
        let mut listeners = 0;
        for entry in crowd.iter().flat_map(|chunk| chunk.iter()) {
            let place = entry.value.about().registered_at;
            *places.entry((place.file(), place.line())).or_insert(0_usize) += 1;
            listeners += 1;
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by_key(|&(place, count)| (Reverse(count), place));
        let places: Vec<_> = places.iter().map(|((file, line), count)| format!("{count} from {file}:{line}")).collect();
        tracing::warn!(
            target: "hearken",
            "{listeners} listeners of {}: {}; are subscriptions kept or detached that should be dropped? \
             If so many are meant, say so with `Builder::leak_warning`",
            self.event,
            places.join(", "),
        );
    }

    fn chunks(&self) -> Chunks<ListenerRef<T, E>> {
        self.book.lock().roll.chunks()
    }

    #[inline]
    pub(crate) fn snapshot(&self, registry: &Registry<E>) -> Loaded<Snapshot<T, E>> {
        self.snapshot.load().unwrap_or_else(|| self.publish(registry))
    }

    #[cold]
    fn publish(&self, registry: &Registry<E>) -> Loaded<Snapshot<T, E>> {
        let mut book = self.book.lock();
        if let Some(snapshot) = self.snapshot.load() {
            return snapshot;
        }
        // Under this lock: who changes the listeners of every type invalidates afterwards, and waits here.
        let (any, unheard) = (registry.any.chunks(), registry.unheard.chunks());
        book.is_published = true;
        self.snapshot.fill(Snapshot { own: book.roll.chunks(), any, unheard })
    }
}

impl<T: ?Sized + 'static, E: 'static> AnyChannel<E> for Channel<T, E> {
    fn invalidate(&self) {
        self.change(|_| ());
    }

    fn remove(&self, key: Key) {
        self.change(|book| book.roll.remove(key));
    }

    fn off(&self, key: Key) -> bool {
        let (removed, _stale) = self.change(|book| {
            let closed = book.roll.get(key).is_some_and(|entry| entry.value.gate().close());
            if closed { book.roll.remove(key) } else { None }
        });
        removed.is_some()
    }

    fn off_all(&self) -> usize {
        let (removed, _stale) = self.change(|book| {
            let chunks = book.roll.clear();
            let closed =
                chunks.iter().flat_map(|chunk| chunk.iter()).filter(|entry| entry.value.gate().close()).count();
            (chunks, closed)
        });
        removed.1
    }

    fn note(&self, key: Key) {
        // The word is read under the lock: of two who resume at once, the last to note has seen both.
        self.change(|book| book.roll.note(key, |listener| listener.gate().word().plain()));
    }
}

pub(crate) struct Registry<E> {
    types: TypeTable<Arc<dyn AnyChannel<E>>>,
    any: Channel<dyn Any, E>,
    unheard: Channel<dyn Any, E>,
    /// Whether there ever was a listener of every type. Until then, an event of a type that the registry doesn't know has
    /// nobody to go to.
    has_broad: AtomicBool,
    /// With how many listeners a channel suspects a leak.
    crowd: Option<NonZeroUsize>,
}

/// The numbers of the channels that every registry has. A type's is its number in the table and these.
pub(crate) const ANY: u32 = 0;
pub(crate) const UNHEARD: u32 = 1;
const FIRST_TYPE: u32 = 2;

/// What listeners of every type hear, for people.
const ANY_EVENT: &str = "any event";
const UNHEARD_EVENTS: &str = "unheard events";

/// What a listener of every type hears, for people.
pub(crate) fn broad_event(id: ListenerId) -> &'static str {
    if id.home() == ANY { ANY_EVENT } else { UNHEARD_EVENTS }
}

impl<E: Send + Sync + 'static> Registry<E> {
    pub(crate) fn new(crowd: Option<NonZeroUsize>) -> Self {
        Self {
            types: TypeTable::new(),
            any: Channel::new(ANY, ANY_EVENT, crowd),
            unheard: Channel::new(UNHEARD, UNHEARD_EVENTS, crowd),
            has_broad: AtomicBool::new(false),
            crowd,
        }
    }

    /// The channel of this type, if an event of it may have somebody to go to.
    #[inline]
    pub(crate) fn find<T: 'static>(&self) -> Option<&Channel<T, E>> {
        match self.types.get(TypeId::of::<T>()) {
            Some(channel) => (&**channel as &dyn Any).downcast_ref(),
            None => self.find_for_broad(),
        }
    }

    #[cold]
    fn find_for_broad<T: 'static>(&self) -> Option<&Channel<T, E>> {
        // Relaxed: an emission owes nothing to a listener that was not added before it began.
        if !self.has_broad.load(Ordering::Relaxed) {
            return None;
        }
        self.channel::<T>();
        (&**self.types.get(TypeId::of::<T>())? as &dyn Any).downcast_ref()
    }

    /// The channel of this type, made if need be.
    pub(crate) fn channel<T: 'static>(&self) -> Arc<Channel<T, E>> {
        let make = |number| -> Arc<dyn AnyChannel<E>> {
            Arc::new(Channel::<T, E>::new(number + FIRST_TYPE, type_name::<T>(), self.crowd))
        };
        let id = TypeId::of::<T>();
        let channel: Arc<dyn Any + Send + Sync> =
            self.types.get(id).cloned().unwrap_or_else(|| self.types.get_or_insert_with(id, make));
        channel.downcast().unwrap_or_else(|_| unreachable!("it was put there under its type"))
    }

    /// Adds a listener of every type to the channel of this number.
    pub(crate) fn insert_broad(&self, home: u32, listener: ListenerRef<dyn Any, E>) -> ListenerId {
        self.has_broad.store(true, Ordering::Relaxed);
        let id = if home == ANY { &self.any } else { &self.unheard }.insert(0, listener);
        self.invalidate();
        id
    }

    /// All types' snapshots list the listeners of every type.
    fn invalidate(&self) {
        self.types.all().iter().for_each(|channel| channel.invalidate());
    }

    fn with<R>(&self, id: ListenerId, act: impl FnOnce(&dyn AnyChannel<E>, Key) -> R) -> Option<R> {
        let result = match id.home() {
            ANY => act(&self.any, id.key()),
            UNHEARD => act(&self.unheard, id.key()),
            home => return Some(act(&*self.types.numbered(home - FIRST_TYPE)?, id.key())),
        };
        self.invalidate();
        Some(result)
    }

    pub(crate) fn remove(&self, id: ListenerId) {
        self.with(id, AnyChannel::remove);
    }

    pub(crate) fn off(&self, id: ListenerId) -> bool {
        self.with(id, AnyChannel::off).unwrap_or(false)
    }

    pub(crate) fn note(&self, id: ListenerId) {
        self.with(id, AnyChannel::note);
    }

    pub(crate) fn off_all(&self) -> usize {
        let broad = self.any.off_all() + self.unheard.off_all();
        let typed: usize = self.types.all().iter().map(|channel| channel.off_all()).sum();
        broad + typed
    }
}
