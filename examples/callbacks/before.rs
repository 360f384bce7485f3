//! Before: whoever has something to tell keeps a list of closures. Written the way one does, with the ways out one finds.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::{INDEX, Screen, unzip};

type Callback = Box<dyn FnMut(&str)>;

#[derive(Default)]
struct Downloads {
    /// In a cell, because callbacks are given the same `Downloads` that is calling them.
    on_fetched: RefCell<Vec<Callback>>,
}

impl Downloads {
    /// There is no way back: nothing names a closure, so nothing can take it out.
    fn on_fetched(&self, callback: impl FnMut(&str) + 'static) {
        self.on_fetched.borrow_mut().push(Box::new(callback));
    }

    fn fetch(&self, file: &str) {
        // With `borrow_mut` over the loop, the first callback that fetches another file panics. So the list is taken out for
        // the time of the calls. It no longer panics: a file fetched by a callback finds an empty list, and nobody hears of it.
        let mut callbacks = self.on_fetched.take();
        for callback in &mut callbacks {
            callback(file);
        }
        // What was registered meanwhile must not get lost. That, too, was once a bug.
        callbacks.append(&mut self.on_fetched.borrow_mut());
        self.on_fetched.replace(callbacks);
    }
}

pub(crate) fn session(screen: &Screen) {
    let downloads = Rc::new(Downloads::default());

    // The flag is for when the window closes. The closure and all it holds stay for as long as the downloads do.
    let window_is_open = Rc::new(Cell::new(true));
    downloads.on_fetched({
        let (screen, is_open) = (screen.clone(), Rc::clone(&window_is_open));
        move |file| {
            if is_open.get() {
                screen.say(format!("  window: {file}"));
            }
        }
    });

    // Weak, or the downloads would own a closure that owns the downloads.
    let weak: Weak<Downloads> = Rc::downgrade(&downloads);
    downloads.on_fetched(move |file| {
        if let Some(downloads) = weak.upgrade()
            && file == "index"
        {
            for listed in INDEX {
                downloads.fetch(listed);
            }
        }
    });

    // A callback returns nothing, so its error has nowhere to go, and a broken archive passes in silence.
    let unpacker = screen.clone();
    downloads.on_fetched(move |file| {
        if file.ends_with("zip") && unzip(file).is_ok() {
            unpacker.say(format!("  unpacked {file}"));
        }
    });

    screen.say("fetch the index");
    downloads.fetch("index");
    screen.say("close the window, fetch docs.zip");
    window_is_open.set(false);
    downloads.fetch("docs.zip");
    screen.say(format!("callbacks left: {}", downloads.on_fetched.borrow().len()));
}

// No tests: to test the unpacker one needs the downloads, and to test what follows an index, a network.
