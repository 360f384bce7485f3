//! After: the modules know two events and a bus, and nothing of one another.

use hearken::{Emitter, Subscription};

use crate::{INDEX, Screen, unzip};

/// Somebody wants this file.
#[derive(Clone, PartialEq, Debug)]
struct Wanted(String);

/// This file is here.
#[derive(Clone, PartialEq, Debug)]
struct Fetched(String);

/// Keeps no list. A listener speaks on its own bus through the emission it is called in, so that it need not own the bus.
fn downloads(bus: &Emitter) -> Subscription {
    bus.on_with(|Wanted(file): &Wanted, cx| {
        cx.emitter().emit(&Fetched(file.clone()));
    })
}

/// To close it is to drop it: no flag, and nothing of it stays behind.
struct Window {
    _hears: Subscription,
}

impl Window {
    fn open(bus: &Emitter, screen: &Screen) -> Self {
        let screen = screen.clone();
        Self { _hears: bus.on(move |Fetched(file): &Fetched| screen.say(format!("  window: {file}"))) }
    }
}

/// Wants what an index lists. That these events come while another one is being told troubles nobody.
fn follower(bus: &Emitter) -> Subscription {
    bus.listen().filter(|Fetched(file)| file == "index").on_with(|_, cx| {
        for listed in INDEX {
            cx.emitter().emit(&Wanted(listed.to_owned()));
        }
    })
}

/// Fails with `?`. What becomes of it is the error channel's business.
fn unpacker(bus: &Emitter, screen: &Screen) -> Subscription {
    let screen = screen.clone();
    bus.listen().named("unpacker").filter(|Fetched(file)| file.ends_with("zip")).on(move |Fetched(file)| {
        unzip(file)?;
        screen.say(format!("  unpacked {file}"));
        Ok(())
    })
}

pub(crate) fn session(screen: &Screen) {
    let failures = screen.clone();
    let bus = Emitter::new(move |failure| {
        let who = failure.listener().and_then(|listener| listener.name).unwrap_or("a listener");
        failures.say(format!("  {who} failed: {}", failure.cause()));
    });
    let window = Window::open(&bus, screen);
    let _others = [downloads(&bus), follower(&bus), unpacker(&bus, screen)];

    let want = |file: &str| bus.emit(&Wanted(file.to_owned()));
    screen.say("fetch the index");
    want("index");
    screen.say("close the window, fetch docs.zip");
    drop(window);
    want("docs.zip");
    screen.say(format!("listeners left: {}", bus.listen::<Fetched>().count()));
}

/// What became possible: each module alone, by what it hears and what it says.
#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// In a test nothing may fail unnoticed.
    fn bus() -> Emitter {
        Emitter::new(hearken::panic)
    }

    #[test]
    fn what_is_wanted_is_fetched() {
        let bus = bus();
        let fetched = bus.record::<Fetched>();
        let _downloads = downloads(&bus);
        bus.emit(&Wanted("docs.zip".to_owned()));
        assert_eq!(fetched.take(), [Fetched("docs.zip".to_owned())]);
    }

    #[test]
    fn what_an_index_lists_is_wanted() {
        // No network, no downloads: the test says itself that the file is there.
        let bus = bus();
        let wanted = bus.record::<Wanted>();
        let _follower = follower(&bus);
        bus.emit(&Fetched("index".to_owned()));
        assert_eq!(wanted.take(), INDEX.map(|file| Wanted(file.to_owned())));
        bus.emit(&Fetched("docs.zip".to_owned()));
        wanted.assert_none();
    }

    #[test]
    fn a_closed_window_shows_nothing_and_is_gone() {
        let (bus, screen) = (bus(), Screen::default());
        let window = Window::open(&bus, &screen);
        bus.emit(&Fetched("docs.zip".to_owned()));
        drop(window);
        assert_eq!(bus.emit(&Fetched("late.zip".to_owned())).heard, 0);
        assert_eq!(screen.lines(), ["  window: docs.zip"]);
    }

    #[test]
    fn a_broken_archive_is_a_failure_and_the_others_hear_of_it_all_the_same() {
        let (failures, failed) = mpsc::channel();
        let bus = Emitter::new(move |failure| drop(failures.send(failure.into_error())));
        let screen = Screen::default();
        let _first = unpacker(&bus, &screen);
        let _second = Window::open(&bus, &screen);

        let emission = bus.emit(&Fetched("broken.zip".to_owned()));
        assert_eq!((emission.heard, emission.failed), (2, 1));
        let error = failed.recv().expect("it was told at once").expect("it returned an error");
        assert_eq!(error.to_string(), "broken.zip is no archive");
        assert_eq!(screen.lines(), ["  window: broken.zip"]);
    }

    #[test]
    fn a_file_wanted_by_a_listener_is_heard_of_by_all() {
        let bus = Emitter::new(hearken::ignore);
        let fetched = bus.record::<Fetched>();
        let _modules = [downloads(&bus), follower(&bus)];
        bus.emit(&Wanted("index".to_owned()));
        assert_eq!(fetched.take(), ["index", "tools.zip", "broken.zip"].map(|file| Fetched(file.to_owned())));
    }
}
