//! Who is told that something has changed for some device: that it has, and not what, nor for which.

use crate::conduct::Director;
use crate::documents::{NEWS, kind, load, parsed, store};
use crate::fault::DirectorFault;
use update::notice::{Notice, SUBSCRIBERS_MAX, Subscriber, Told};
use x509::sha256;

type Done<T = ()> = Result<T, DirectorFault>;

impl Director {
    /// What is to be told now, and to whom.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn telling(&self) -> Done<(Notice, Vec<Subscriber>)> {
        let roots = self.roots()?;
        let (_, first) = roots.first().ok_or(DirectorFault::NotBegun)?;
        let of = sha256(first);
        self.documents.read(|then| {
            let number = load(then, kind::STATE, NEWS)?.unwrap_or(0);
            let mut subscribers = Vec::new();
            then.each(kind::SUBSCRIBER, "", |_, octets| -> Done {
                subscribers.push(parsed(kind::SUBSCRIBER, octets)?);
                Ok(())
            })?;
            Ok((Notice { of, number }, subscribers))
        })
    }

    /// Tells somebody from now on of what changes; or no more, if there is nobody under this name any longer.
    ///
    /// # Errors
    /// [`DirectorFault::Refused`] if there are too many.
    pub fn subscribe(&self, subscriber: &Subscriber) -> Done {
        self.documents.change(|then| {
            let mut there = 0;
            then.each(kind::SUBSCRIBER, "", |name, _| -> Done {
                there += usize::from(name != subscriber.name);
                Ok(())
            })?;
            if there >= SUBSCRIBERS_MAX {
                return Err(DirectorFault::Refused(format!("{SUBSCRIBERS_MAX} are told already")));
            }
            // He has what there is when he asks; he is told of what comes.
            let number = load(then, kind::STATE, NEWS)?.unwrap_or(0);
            let subscriber = Subscriber { told: Told::default().heard(number), ..subscriber.clone() };
            store(then, kind::SUBSCRIBER, &subscriber.name, &subscriber)
        })
    }

    /// Tells somebody no longer.
    ///
    /// # Errors
    /// [`DirectorFault::NotFound`]
    pub fn unsubscribe(&self, name: &str) -> Done {
        self.documents.change(|then| {
            then.get(kind::SUBSCRIBER, name)?.ok_or(DirectorFault::NotFound("subscriber"))?;
            then.remove(kind::SUBSCRIBER, name)?;
            Ok(())
        })
    }

    /// Notes how far somebody was told. One who is told no longer stays so.
    ///
    /// # Errors
    /// [`DirectorFault`]
    pub fn told(&self, name: &str, told: &Told) -> Done {
        self.documents.change(|then| {
            let Some(subscriber) = load::<Subscriber>(then, kind::SUBSCRIBER, name)? else { return Ok(()) };
            store(then, kind::SUBSCRIBER, name, &Subscriber { told: told.clone(), ..subscriber })
        })
    }
}
