//! Where paths lead: all that devices can ask for stands here, and nothing is answered that does not.

use crate::ddi::Room;
use crate::names::Name;

/// What a request asks for, by its method and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Beneath `/images/`, for whoever was let in; `None` if there is nothing.
    Images(Option<ImagePath<'a>>),
    /// Beneath `/TENANT/controller/v1/DEVICE`, for the device itself.
    Ddi(Room<'a>),
    /// Beneath `/director/DEVICE/`, for the device itself.
    Uptane {
        /// The device, as it is written in the path.
        device: &'a str,
        /// What is asked for; `None` if there is nothing.
        asked: Option<UptanePath<'a>>,
    },
}

/// What stands behind `/images/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePath<'a> {
    /// `metadata/FILE`, whole.
    Metadata(&'a str),
    /// `targets/FILE`, whole.
    Target(&'a str),
}

/// What stands behind `/director/DEVICE/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UptanePath<'a> {
    /// `GET metadata/FILE`: the file.
    File(&'a str),
    /// `GET nonce`
    Nonce,
    /// `POST manifest`
    Manifest,
    /// `POST report`
    Report,
}

impl<'a> Route<'a> {
    /// Where a request leads; nowhere if `None`. `tenant` is what stands in front of `/controller`.
    #[must_use]
    pub fn of(method: &str, path: &'a str, tenant: &Name) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/images/") {
            return Some(Self::Images(ImagePath::of(rest)));
        }
        if let Some(room) = Room::of(path, tenant) {
            return Some(Self::Ddi(room));
        }
        let (device, rest) = path.strip_prefix("/director/")?.split_once('/')?;
        Some(Self::Uptane { device, asked: UptanePath::of(method, rest) })
    }
}

impl<'a> ImagePath<'a> {
    fn of(rest: &'a str) -> Option<Self> {
        match rest.split_once('/')? {
            ("metadata", _) => Some(Self::Metadata(rest)),
            ("targets", _) => Some(Self::Target(rest)),
            _ => None,
        }
    }
}

impl<'a> UptanePath<'a> {
    fn of(method: &str, rest: &'a str) -> Option<Self> {
        match (method, rest) {
            ("GET", "nonce") => Some(Self::Nonce),
            ("POST", "manifest") => Some(Self::Manifest),
            ("POST", "report") => Some(Self::Report),
            ("GET" | "HEAD", rest) => rest.strip_prefix("metadata/").map(Self::File),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "what cannot go on here has failed")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, expected: Option<Route<'_>>) {
        assert_eq!(Route::of(method, path, &"default".parse().unwrap()), expected, "{method} {path}");
    }
    fn uptane(asked: Option<UptanePath<'_>>) -> Option<Route<'_>> {
        Some(Route::Uptane { device: "D", asked })
    }

    #[test]
    fn what_uptane_asks() {
        check("GET", "/director/D/metadata/timestamp.json", uptane(Some(UptanePath::File("timestamp.json"))));
        check("HEAD", "/director/D/metadata/1.root.json", uptane(Some(UptanePath::File("1.root.json"))));
        check("GET", "/director/D/nonce", uptane(Some(UptanePath::Nonce)));
        check("POST", "/director/D/manifest", uptane(Some(UptanePath::Manifest)));
        check("POST", "/director/D/report", uptane(Some(UptanePath::Report)));
    }
    #[test]
    fn what_nobody_answers_in_the_room_of_a_device() {
        check("POST", "/director/D/nonce", uptane(None));
        check("GET", "/director/D/manifest", uptane(None));
        check("GET", "/director/D/report", uptane(None));
        check("POST", "/director/D/metadata/timestamp.json", uptane(None));
        check("GET", "/director/D/nonce/", uptane(None));
        check("GET", "/director/D/", uptane(None));
    }
    #[test]
    fn images_and_what_is_said_of_them() {
        let images = |asked| Some(Route::Images(asked));
        check("GET", "/images/metadata/x", images(Some(ImagePath::Metadata("metadata/x"))));
        check("GET", "/images/targets/a/x", images(Some(ImagePath::Target("targets/a/x"))));
        check("GET", "/images/metadata", images(None));
        check("GET", "/images/other/x", images(None));
    }
    #[test]
    fn nowhere() {
        check("GET", "/", None);
        check("GET", "/images", None);
        check("GET", "/director/D", None);
        check("GET", "director/D/nonce", None);
    }
}
