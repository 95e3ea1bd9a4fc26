//! Where a panic happened, without what it said: its words could hold what it stumbled over, such as a header.
//!
//! Invariant: nothing here looks at the payload of a panic.

use std::cell::RefCell;
use std::panic::{Location, PanicHookInfo};
use std::sync::Once;

const UNKNOWN: &str = "an unknown place";

thread_local! {
    /// Where this thread panicked last, until somebody has asked.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes where threads panic from now on, besides what else happens at a panic. Again does nothing.
pub fn note() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            LAST.set(Some(place_of(info)));
            before(info);
        }));
    });
}

/// Makes panics say where they happened, and in which thread, on standard error, and nothing else. For `main`, before
/// anything that notes.
pub fn say_places_only(program: &'static str) {
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        eprintln!("{program}: panic in thread {name} at {}", place_of(info));
    }));
}

/// What is told of a panic that was just caught on this thread: `panic at FILE:LINE`.
#[must_use]
pub fn told() -> String {
    format!("panic at {}", LAST.take().unwrap_or_else(|| UNKNOWN.to_owned()))
}

fn place_of(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(|| UNKNOWN.to_owned(), |place| format!("{}:{}", file(place), place.line()))
}

/// The file as the compiler was given it. Of a crate from elsewhere, only what comes after the registry's directory.
fn file<'a>(place: &Location<'a>) -> &'a str {
    let whole = place.file();
    whole.rsplit_once("/registry/src/").map_or(whole, |(_, rest)| rest.split_once('/').map_or(rest, |(_, file)| file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_is_told_by_its_place_and_never_by_its_words() {
        note();
        note();
        let caught = std::panic::catch_unwind(|| std::panic::panic_any("the secret is 1234".to_owned()));
        assert!(caught.is_err());
        let told_once = told();
        assert!(told_once.starts_with("panic at ") && told_once.contains("lib.rs:"), "{told_once}");
        assert!(!told_once.contains("1234"));
        assert_eq!(told(), "panic at an unknown place", "each is told once");
    }
}
