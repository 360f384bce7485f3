//! Who listens to what.
//!
//! A channel is the listeners of one type, or of every type. Its roll is changed under its lock; emissions read a snapshot
//! of it, which a change takes out and the next emission makes anew. A snapshot has the listeners of every type in it too,
//! so one load tells an emission everybody it may call: all but those narrowed to topics, whom it remembers topic by topic, as
//! they are asked for.

use std::any::{Any, TypeId, type_name};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use smallvec::SmallVec;

use crate::id::{Key, ListenerId};
use crate::info::ListenerInfo;
use crate::listener::Listener;
use crate::raw::roll::{Chunk, Chunks, Entry, List, Mark, Roll};
use crate::raw::sights::Sights;
use crate::raw::snapshot::{Cell, Loaded};
use crate::raw::table::Table;
use crate::raw::trie::Trie;
use crate::raw::types::TypeTable;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::topic::{Pattern, segments};
use crate::trace;

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
    /// Who hears events on whatever topic, or on none.
    wide: Roll<ListenerRef<T, E>>,
    /// Who narrowed themselves to patterns, and the same by each of these.
    narrow: Roll<ListenerRef<T, E>>,
    by_pattern: Trie<Roll<ListenerRef<T, E>>>,
    /// A test's, on no roll, so that no `off` finds them. While a type has any, its events go to them alone. Those of unheard events come
    /// before the listeners. In the order of their keys.
    taps: Option<Arc<Chunk<ListenerRef<T, E>>>>,
    /// The address of the snapshot in the cell; 0 if there is none.
    published: usize,
    /// The topics that were resolved lately.
    sights: Sights,
    /// With how many listeners to suspect a leak; taken when that was said.
    crowd: Option<NonZeroUsize>,
}

/// Everybody whom an emission of this channel's type may call.
pub(crate) struct Snapshot<T: ?Sized, E> {
    pub(crate) own: Chunks<ListenerRef<T, E>>,
    pub(crate) any: Chunks<ListenerRef<dyn Any, E>>,
    pub(crate) unheard: Chunks<ListenerRef<dyn Any, E>>,
    /// Who is narrowed to topics, by topics that came more than once; none if nobody is. Goes with the snapshot, so it keeps nobody
    /// who left, and knows everybody who came.
    topics: Option<Box<Topics<T, E>>>,
    /// Whether one of them is a listener of every type.
    is_any_narrow: bool,
    /// Whether nobody is listed but taps.
    is_tapped: bool,
}

type Topics<T, E> = Table<Arc<str>, Narrowed<T, E>>;

/// Who narrowed themselves to patterns that match one topic.
pub(crate) enum Narrowed<T: ?Sized, E> {
    /// One listener of the type, as most topics have: here, and not two looks at memory away.
    One(Entry<ListenerRef<T, E>>),
    /// None for nobody at all.
    Others(Option<Box<Lists<T, E>>>),
}

pub(crate) struct Lists<T: ?Sized, E> {
    own: Chunks<ListenerRef<T, E>>,
    any: Chunks<ListenerRef<dyn Any, E>>,
}

impl<T: ?Sized, E> Narrowed<T, E> {
    fn new(own: Chunks<ListenerRef<T, E>>, any: Chunks<ListenerRef<dyn Any, E>>) -> Self {
        match &own[..] {
            [] if any.is_empty() => Self::Others(None),
            [chunk] if any.is_empty() && chunk.len() == 1 => Self::One(chunk[0].clone()),
            _ => Self::Others(Some(Box::new(Lists { own, any }))),
        }
    }

    /// Those of the type.
    #[inline]
    pub(crate) fn own(&self) -> List<'_, ListenerRef<T, E>> {
        match self {
            Self::One(entry) => List::Single(entry),
            Self::Others(lists) => lists.as_ref().map_or_else(List::default, |lists| List::Chunks(&lists.own)),
        }
    }

    /// Those of every type.
    #[inline]
    pub(crate) fn any(&self) -> Option<&Chunks<ListenerRef<dyn Any, E>>> {
        match self {
            Self::Others(Some(lists)) if !lists.any.is_empty() => Some(&lists.any),
            _ => None,
        }
    }
}

impl<T: ?Sized, E> Clone for Narrowed<T, E> {
    fn clone(&self) -> Self {
        match self {
            Self::One(entry) => Self::One(entry.clone()),
            Self::Others(lists) => {
                let copy = |lists: &Lists<T, E>| Box::new(Lists { own: lists.own.clone(), any: lists.any.clone() });
                Self::Others(lists.as_deref().map(copy))
            }
        }
    }
}

/// Them, and the snapshot that they belong to, if it is a newer one.
pub(crate) type Resolved<T, E> = (Option<Loaded<Snapshot<T, E>>>, Narrowed<T, E>);

/// How many topics a snapshot remembers. One more, and it is made anew.
const TOPICS: usize = 24_576;

/// A valid topic, and its hash in this registry.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) text: &'a str,
    pub(crate) hash: u64,
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
    /// Who is registered.
    fn listeners(&self) -> Vec<ListenerInfo>;
}

impl<T: ?Sized, E> Book<T, E> {
    fn new(crowd: Option<NonZeroUsize>) -> Self {
        Self {
            wide: Roll::new(),
            narrow: Roll::new(),
            by_pattern: Trie::new(),
            taps: None,
            published: 0,
            sights: Sights::new(),
            crowd,
        }
    }

    fn insert(&mut self, entry: Entry<ListenerRef<T, E>>) {
        if entry.value.about().topics().is_empty() {
            return self.wide.insert(entry);
        }
        for pattern in entry.value.about().topics() {
            self.by_pattern.get_or_insert_with(pattern, Roll::new).insert(entry.clone());
        }
        self.narrow.insert(entry);
    }

    fn get(&self, key: Key) -> Option<&Entry<ListenerRef<T, E>>> {
        self.wide.get(key).or_else(|| self.narrow.get(key))
    }

    fn remove(&mut self, key: Key) -> Option<ListenerRef<T, E>> {
        if let Some(removed) = self.wide.remove(key) {
            return Some(removed);
        }
        let Some(removed) = self.narrow.remove(key) else { return self.untap(key) };
        for pattern in removed.about().topics() {
            if let Some(roll) = self.by_pattern.get_mut(pattern) {
                roll.remove(key);
                if roll.len() == 0 {
                    self.by_pattern.remove(pattern);
                }
            }
        }
        Some(removed)
    }

    fn note(&mut self, key: Key) {
        let word = |listener: &ListenerRef<T, E>| listener.gate().word().plain();
        self.wide.note(key, word);
        self.narrow.note(key, word);
        if let Some(entry) = self.narrow.get(key) {
            for pattern in entry.value.about().topics() {
                if let Some(roll) = self.by_pattern.get_mut(pattern) {
                    roll.note(key, word);
                }
            }
        }
    }

    /// Who narrowed themselves to patterns that match this topic, in order, each once.
    fn narrowed_to(&mut self, topic: &str, separator: char) -> Chunks<ListenerRef<T, E>> {
        let mut matching: SmallVec<[Chunks<ListenerRef<T, E>>; 4]> = SmallVec::new();
        self.by_pattern.visit(topic, segments(topic, separator), |roll| matching.push(roll.chunks()));
        if matching.len() < 2 {
            // What the one roll shares anyway.
            return matching.pop().unwrap_or_default();
        }
        let entries = matching.iter().flatten().flat_map(|chunk| chunk.iter().cloned());
        let mut found: Chunk<ListenerRef<T, E>> = entries.collect();
        found.sort_unstable_by_key(Entry::key);
        found.dedup_by_key(|entry| entry.key());
        Chunks::from_iter([Arc::new(found)])
    }

    fn is_narrow(&self) -> bool {
        self.narrow.len() != 0
    }

    fn tap(&mut self, entry: Entry<ListenerRef<T, E>>) {
        Arc::make_mut(self.taps.get_or_insert_default()).push(entry);
    }

    fn untap(&mut self, key: Key) -> Option<ListenerRef<T, E>> {
        let taps = Arc::make_mut(self.taps.as_mut()?);
        let at = taps.iter().position(|entry| entry.key() == key)?;
        let removed = taps.remove(at).value;
        self.taps.take_if(|taps| taps.is_empty());
        Some(removed)
    }
}

impl<T: ?Sized, E> Channel<T, E> {
    fn new(home: u32, event: &'static str, crowd: Option<NonZeroUsize>) -> Self {
        Self { home, event, book: Mutex::new(Book::new(crowd)), snapshot: Cell::empty() }
    }

    /// Runs under the lock, so it may not run user code; what it returns is dropped by the caller, outside.
    fn change<R>(&self, change: impl FnOnce(&mut Book<T, E>) -> R) -> (R, Option<Arc<Snapshot<T, E>>>) {
        let mut book = self.book.lock();
        let stale = if std::mem::take(&mut book.published) == 0 { None } else { self.snapshot.take() };
        (change(&mut book), stale)
    }

    pub(crate) fn insert(&self, priority: i32, value: ListenerRef<T, E>) -> ListenerId {
        let noted = value.gate().word().plain();
        let ((key, crowd), _stale) = self.change(|book| {
            let key = Key::next(priority);
            book.insert(Entry { mark: Mark::new(key, noted), value });
            let is_crowd = book.crowd.take_if(|crowd| book.wide.len() + book.narrow.len() > crowd.get()).is_some();
            (key, is_crowd.then(|| [book.wide.chunks(), book.narrow.chunks()]))
        });
        if let Some(crowd) = crowd {
            self.suspect_a_leak(&crowd);
        }
        ListenerId::new(self.home, key)
    }

    /// Adds a tap. It comes before everybody else, and goes by [`AnyChannel::remove`].
    pub(crate) fn tap(&self, value: ListenerRef<T, E>) -> ListenerId {
        let noted = value.gate().word().plain();
        let (key, _stale) = self.change(|book| {
            let key = Key::next(i32::MAX);
            book.tap(Entry { mark: Mark::new(key, noted), value });
            key
        });
        ListenerId::new(self.home, key)
    }

    /// Says who they are, by the places in the source that added them, most first.
    #[cold]
    fn suspect_a_leak(&self, crowd: &[Chunks<ListenerRef<T, E>>; 2]) {
        let mut places = HashMap::new();
        let mut listeners = 0_usize;
        for entry in crowd.iter().flatten().flat_map(|chunk| chunk.iter()) {
            let place = entry.value.about().registered_at;
            *places.entry((place.file(), place.line())).or_insert(0_usize) += 1;
            listeners += 1;
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by_key(|&(place, count)| (Reverse(count), place));
        let places: Vec<_> = places.iter().map(|((file, line), count)| format!("{count} from {file}:{line}")).collect();
        trace::leak(self.event, listeners, &places.join(", "));
    }

    /// The listener of this key, if it is there.
    #[cfg(feature = "async")]
    pub(crate) fn entry(&self, key: Key) -> Option<Entry<ListenerRef<T, E>>> {
        self.book.lock().get(key).cloned()
    }

    /// How many of these there are that are registered on any of these very patterns.
    pub(crate) fn count_on(&self, patterns: &[Pattern], counts: impl Fn(&ListenerRef<T, E>) -> bool) -> usize {
        let listeners: Vec<_> = {
            let mut book = self.book.lock();
            let rolls = patterns.iter().filter_map(|pattern| Some(book.by_pattern.get_mut(pattern)?.chunks()));
            rolls.flatten().collect()
        };
        let counted = listeners.iter().flat_map(|chunk| chunk.iter()).filter(|entry| counts(&entry.value));
        counted.map(Entry::key).collect::<HashSet<_>>().len()
    }
}

impl<T: ?Sized, E: Send + Sync + 'static> Channel<T, E> {
    #[inline]
    pub(crate) fn snapshot(&self, registry: &Registry<E>) -> Loaded<Snapshot<T, E>> {
        self.snapshot.load().unwrap_or_else(|| self.publish(&mut self.book.lock(), registry))
    }

    /// The snapshot, if it lists taps. If not, it is not kept over what the caller does: it has nothing to do with it.
    pub(crate) fn tapped(&self, registry: &Registry<E>) -> Option<Loaded<Snapshot<T, E>>> {
        Some(self.snapshot(registry)).filter(|snapshot| snapshot.is_tapped)
    }

    /// A count that changes when listeners come or go. What was loaded behind a look at it is up to date while it stays the same.
    #[inline]
    pub(crate) fn changes(&self) -> usize {
        self.snapshot.changes()
    }

    /// The snapshot in the cell, made if need be.
    #[cold]
    fn publish(&self, book: &mut Book<T, E>, registry: &Registry<E>) -> Loaded<Snapshot<T, E>> {
        if let Some(snapshot) = self.snapshot.load() {
            return snapshot;
        }
        if let Some(taps) = &book.taps {
            let own = Chunks::from_iter([Arc::clone(taps)]);
            let (any, unheard) = (Chunks::new(), Chunks::new());
            let tapped = Snapshot { own, any, unheard, topics: None, is_any_narrow: false, is_tapped: true };
            return self.put(book, tapped);
        }
        // Under this lock: who changes the listeners of every type invalidates afterwards, and waits here.
        let (any, is_any_narrow) = {
            let any = registry.any.book.lock();
            (any.wide.chunks(), any.is_narrow())
        };
        let unheard = {
            let unheard = registry.unheard.book.lock();
            unheard.taps.iter().cloned().chain(unheard.wide.chunks()).collect()
        };
        let topics = (book.is_narrow() || is_any_narrow).then(|| Box::new(Table::new()));
        if topics.is_none() {
            book.sights = Sights::new();
        }
        let own = book.wide.chunks();
        self.put(book, Snapshot { own, any, unheard, topics, is_any_narrow, is_tapped: false })
    }

    /// Puts a snapshot into the empty cell.
    fn put(&self, book: &mut Book<T, E>, snapshot: Snapshot<T, E>) -> Loaded<Snapshot<T, E>> {
        let snapshot = self.snapshot.fill(snapshot);
        book.published = snapshot.address();
        snapshot
    }

    /// Who narrowed themselves to a topic that this snapshot doesn't know. If that isn't the one in force any more, with the one that is.
    #[cold]
    pub(crate) fn resolve(&self, registry: &Registry<E>, topic: Name<'_>, current: &Snapshot<T, E>) -> Resolved<T, E> {
        let mut book = self.book.lock();
        let newer = (book.published != current.address()).then(|| self.publish(&mut book, registry));
        let snapshot = newer.as_deref().unwrap_or(current);
        if snapshot.is_tapped {
            return (newer, Narrowed::Others(None));
        }
        let own = book.narrowed_to(topic.text, registry.separator);
        let any = snapshot.is_any_narrow.then(|| registry.any.book.lock().narrowed_to(topic.text, registry.separator));
        let narrowed = Narrowed::new(own, any.unwrap_or_default());
        let mut _stale = None;
        if let Some(topics) = &snapshot.topics
            && book.sights.is_second(topic.hash)
            && snapshot.narrowed_to(topic).is_none()
        {
            if topics.len() < TOPICS {
                topics.add(topic.hash, topic.text.into(), narrowed.clone());
            } else {
                book.published = 0;
                _stale = self.snapshot.take();
            }
        }
        drop(book);
        (newer, narrowed)
    }
}

impl<T: ?Sized, E> Snapshot<T, E> {
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether anybody is narrowed to topics.
    pub(crate) fn is_narrow(&self) -> bool {
        self.topics.is_some()
    }

    /// Who narrowed themselves to this topic, if the snapshot knows it already.
    #[inline(never)]
    pub(crate) fn narrowed_to(&self, topic: Name<'_>) -> Option<&Narrowed<T, E>> {
        self.topics.as_ref()?.get(topic.hash, |text| **text == *topic.text)
    }
}

impl<T: ?Sized + 'static, E: Send + Sync + 'static> AnyChannel<E> for Channel<T, E> {
    fn invalidate(&self) {
        self.change(|_| ());
    }

    fn remove(&self, key: Key) {
        self.change(|book| book.remove(key));
    }

    fn off(&self, key: Key) -> bool {
        let (removed, _stale) = self.change(|book| {
            let closed = book.get(key).is_some_and(|entry| entry.value.gate().close());
            if closed { book.remove(key) } else { None }
        });
        removed.is_some()
    }

    fn off_all(&self) -> usize {
        let (removed, _stale) = self.change(|book| {
            let all = [book.wide.clear(), book.narrow.clear()];
            let entries = all.iter().flatten().flat_map(|chunk| chunk.iter());
            let closed = entries.filter(|entry| entry.value.gate().close()).count();
            (closed, all, book.by_pattern.clear())
        });
        removed.0
    }

    fn note(&self, key: Key) {
        // The word is read under the lock: of two who resume at once, the last to note has seen both.
        self.change(|book| book.note(key));
    }

    fn listeners(&self) -> Vec<ListenerInfo> {
        let all = {
            let book = self.book.lock();
            [book.wide.chunks(), book.narrow.chunks()]
        };
        let entries = all.iter().flatten().flat_map(|chunk| chunk.iter());
        let info = |entry: &Entry<ListenerRef<T, E>>| {
            let (listener, word) = (&entry.value, entry.value.gate().word());
            let info = || listener.about().info(listener.id(entry.key()), self.event);
            (!word.is_off()).then(|| ListenerInfo { is_paused: word.is_paused(), ..info() })
        };
        entries.filter_map(info).collect()
    }
}

pub(crate) struct Registry<E> {
    types: TypeTable<Arc<dyn AnyChannel<E>>>,
    any: Channel<dyn Any, E>,
    unheard: Channel<dyn Any, E>,
    /// Whether there ever was a listener of every type, or there are metrics. Until then, an event of a type that the registry
    /// doesn't know has nobody to go to.
    has_broad: AtomicBool,
    /// With how many listeners a channel suspects a leak.
    crowd: Option<NonZeroUsize>,
    /// What separates the segments of topics.
    pub(crate) separator: char,
    hasher: DefaultHashBuilder,
}

/// The numbers of the channels that every registry has. A type's is its number in the table and these.
pub(crate) const ANY: u32 = 0;
pub(crate) const UNHEARD: u32 = 1;
pub(crate) const FIRST_TYPE: u32 = 2;

/// What listeners of every type hear, for people.
const ANY_EVENT: &str = "any event";
const UNHEARD_EVENTS: &str = "unheard events";

/// What a listener of every type hears, for people.
pub(crate) fn broad_event(id: ListenerId) -> &'static str {
    if id.home() == ANY { ANY_EVENT } else { UNHEARD_EVENTS }
}

impl<E: Send + Sync + 'static> Registry<E> {
    pub(crate) fn new(crowd: Option<NonZeroUsize>, separator: char, metrics: bool) -> Self {
        Self {
            types: TypeTable::new(),
            any: Channel::new(ANY, ANY_EVENT, crowd),
            unheard: Channel::new(UNHEARD, UNHEARD_EVENTS, crowd),
            has_broad: AtomicBool::new(metrics),
            crowd,
            separator,
            hasher: DefaultHashBuilder::default(),
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
        self.made()
    }

    /// The channel of this type, made if need be.
    #[cold]
    pub(crate) fn made<T: 'static>(&self) -> Option<&Channel<T, E>> {
        self.channel::<T>();
        (&**self.types.get(TypeId::of::<T>())? as &dyn Any).downcast_ref()
    }

    /// The same, to keep.
    pub(crate) fn channel<T: 'static>(&self) -> Arc<Channel<T, E>> {
        let make = |number| -> Arc<dyn AnyChannel<E>> {
            Arc::new(Channel::<T, E>::new(number + FIRST_TYPE, type_name::<T>(), self.crowd))
        };
        let id = TypeId::of::<T>();
        let channel: Arc<dyn Any + Send + Sync> =
            self.types.get(id).cloned().unwrap_or_else(|| self.types.get_or_insert_with(id, make));
        channel.downcast().unwrap_or_else(|_| unreachable!("it was put there under its type"))
    }

    /// The name of a topic that is known to be valid.
    pub(crate) fn name<'a>(&self, text: &'a str) -> Name<'a> {
        Name { text, hash: self.hasher.hash_one(text) }
    }

    /// Adds a listener of every type to the channel of this number.
    pub(crate) fn insert_broad(&self, home: u32, priority: i32, listener: ListenerRef<dyn Any, E>) -> ListenerId {
        self.has_broad.store(true, Ordering::Relaxed);
        let id = if home == ANY { &self.any } else { &self.unheard }.insert(priority, listener);
        self.invalidate();
        id
    }

    /// Adds a tap that hears what nobody hears.
    pub(crate) fn tap_unheard(&self, tap: ListenerRef<dyn Any, E>) -> ListenerId {
        self.has_broad.store(true, Ordering::Relaxed);
        let id = self.unheard.tap(tap);
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

    /// Who is registered, in the one order.
    pub(crate) fn listeners(&self) -> Vec<ListenerInfo> {
        let broad = [self.any.listeners(), self.unheard.listeners()];
        let typed = self.types.all();
        let typed = typed.iter().flat_map(|channel| channel.listeners());
        let mut listeners: Vec<_> = broad.into_iter().flatten().chain(typed).collect();
        listeners.sort_unstable_by_key(|listener| listener.id.key());
        listeners
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;
    use std::sync::Weak;

    use super::*;
    use crate::flow::Flow;
    use crate::listener::{About, Closure, Slot};

    fn listener(channel: &Channel<u32, ()>, patterns: Vec<Pattern>) -> ListenerRef<u32, ()> {
        let about = About::new(Weak::new(), None, patterns, None, None, Location::caller());
        Slot::new(channel.home, about, Closure::new(|_: &u32, _, _| Flow::Continue))
    }

    #[test]
    fn an_emission_on_a_topic_that_a_tap_overtakes_finds_the_tap_and_nobody_else() {
        let registry = Registry::new(None, '.', false);
        let channel = registry.channel();
        let topic = registry.name("a.b");
        channel.insert(0, listener(&channel, vec![Pattern::known("a.*", '.')]));
        let before = channel.snapshot(&registry);
        assert_eq!(channel.resolve(&registry, topic, &before).1.own().behind(None).count(), 1);

        channel.tap(listener(&channel, Vec::new()));
        let (newer, narrowed) = channel.resolve(&registry, topic, &before);
        assert!(newer.is_some_and(|newer| newer.is_tapped && newer.own.len() == 1));
        assert!(narrowed.own().behind(None).next().is_none());
    }
}
