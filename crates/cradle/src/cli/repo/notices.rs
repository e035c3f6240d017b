//! Who is told that something was published.

use super::act::open;
use super::said::failed;
use crate::cli::Common;
use crate::cli::notices::{self, Teller, Verb};
use crate::fault::Result;
use std::path::Path;
use update::notice::{Notice, Subscriber, Told};

// Opened for each step, so that nobody who publishes waits for somebody who is told.
struct Publications<'a>(&'a Common, &'a Path);

impl Teller for Publications<'_> {
    fn telling(&self) -> Result<(Option<Notice>, Vec<Subscriber>)> {
        open(self.0, self.1)?.telling().map_err(|fault| failed(self.1, &fault))
    }
    fn subscribe(&self, subscriber: &Subscriber) -> Result {
        open(self.0, self.1)?.subscribe(subscriber).map_err(|fault| failed(self.1, &fault))
    }
    fn unsubscribe(&self, name: &str) -> Result<bool> {
        open(self.0, self.1)?.unsubscribe(name).map_err(|fault| failed(self.1, &fault))
    }
    fn told(&self, name: &str, told: Told) -> Result {
        open(self.0, self.1)?.told(&[(name.to_owned(), told)]).map_err(|fault| failed(self.1, &fault))
    }
}

pub(super) fn run(common: &Common, dir: &Path, verb: Verb) -> Result {
    notices::run(common, &Publications(common, dir), verb)
}

/// Tells whoever is to be told, once. What was published stays published, whoever has heard of it.
pub(super) fn tell(common: &Common, dir: &Path) {
    match notices::round(&Publications(common, dir)) {
        Ok(waiting) => {
            for one in waiting {
                let why = one.told.why.as_deref().unwrap_or("the next attempt is later");
                common.out().say(&format!("{} was not told yet ({why}): `cradle repo notice send`", one.name));
            }
        }
        Err(failure) => common.out().say(&format!("nobody was told: {failure}")),
    }
}
