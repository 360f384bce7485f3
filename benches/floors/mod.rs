//! What hearken is measured against: the least that a bus of closures can do.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::{Bus, Placed, listener};

type Listeners = Vec<Box<dyn Fn(&Placed) + Send + Sync>>;

fn listeners(count: u64) -> Listeners {
    (0..count).map(|number| Box::new(listener(number)) as _).collect()
}

/// By the event's type, whatever a bus keeps for it.
///
/// The list is boxed and typed, so that the type is asked for once an emission, not once a listener.
type Types = HashMap<TypeId, Box<dyn Any + Send + Sync>, BuildHasherDefault<Identity>>;

fn types(listeners: impl Any + Send + Sync) -> Types {
    Types::from_iter([(TypeId::of::<Placed>(), Box::new(listeners) as _)])
}

fn find<L: 'static>(types: &Types) -> Option<&L> {
    types.get(&TypeId::of::<Placed>())?.downcast_ref()
}

/// A map of lists of closures. No listener can come or go while anybody emits.
pub(crate) struct Unprotected(Types);

impl Bus for Unprotected {
    fn with_listeners(count: u64) -> Self {
        Self(types(listeners(count)))
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        if let Some(listeners) = find::<Listeners>(&self.0) {
            for listener in listeners {
                listener(event);
            }
        }
    }
}

/// The same, and an emission holds the list it reads: the load of a snapshot is the one thing added. The cell is the one
/// behind hearken's `raw/snapshot.rs`; the map would need protection too.
pub(crate) struct Protected(Types);

impl Bus for Protected {
    fn with_listeners(count: u64) -> Self {
        Self(types(ArcSwapOption::new(Some(Arc::new(listeners(count))))))
    }

    #[inline]
    fn emit(&self, event: &Placed) {
        if let Some(cell) = find::<ArcSwapOption<Listeners>>(&self.0)
            && let Some(listeners) = &*cell.load()
        {
            for listener in &**listeners {
                listener(event);
            }
        }
    }
}

/// A type's id is a hash already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a type's id hashes as one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
