//! What an image's metadata says of a delta to it.

use crate::fault::BadRelease;
use crate::json::Json;
use crate::metadata::{IMAGE_LEN_MAX, Image, Object, number, object, text};
use crate::tuf::{BadMetadata, Target};

/// Where `custom` says what goes with an image, and what a delta is called there.
const ATTACHED: &str = "attached";
const KIND: &str = "delta";

/// A delta to an image, as those say it who say what the image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    target: Target,
    base: Image,
}

impl Delta {
    /// What a target says of a delta to it; `None` if it says nothing.
    ///
    /// # Errors
    /// [`BadMetadata`] if it is not said as it must be: its name is that of the image with an ending, and it and its base have a length and a
    /// SHA-256 digest.
    pub fn to(image: &Target) -> Result<Option<Self>, BadMetadata> {
        let said = image.custom().and_then(Json::object).and_then(|custom| custom.get(ATTACHED));
        let Some(said) = said.and_then(Json::object).and_then(|attached| attached.get(KIND)) else { return Ok(None) };
        let said = said.object().ok_or(BadRelease::Field(KIND))?;
        let name = text(said, "target")?;
        if !name.strip_prefix(image.name()).is_some_and(|ending| ending.starts_with('.')) {
            return Err(BadMetadata::BadTargetName);
        }
        let base = measured(object(said, "base")?)?;
        Ok(Some(Self { target: image.beside(name, measured(said)?), base }))
    }

    /// Its octets, to be fetched and verified as an image is.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }
    /// The image that it was made from.
    #[must_use]
    pub const fn base(&self) -> Image {
        self.base
    }
}

fn measured(said: &Object) -> Result<Image, BadMetadata> {
    let length = number(said, "length")?;
    if length > IMAGE_LEN_MAX {
        return Err(BadRelease::BadLength.into());
    }
    let digest = text(said, "sha256")?.parse().map_err(|_| BadRelease::BadHash)?;
    Ok(Image { digest, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuf::announced;

    const DIGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[track_caller]
    fn check(custom: &str, expected: Result<Option<(&str, u64, u64)>, BadMetadata>) {
        let image =
            announced("dir/os.img", &format!("{{\"length\":9,\"hashes\":{{\"sha256\":\"{DIGEST}\"}}{custom}}}"));
        let found = Delta::to(&image);
        let said = found
            .as_ref()
            .map(|found| found.as_ref().map(|one| (one.target().name(), one.target().length(), one.base().length)));
        assert_eq!(said.map_err(|bad| *bad), expected, "{custom}");
    }
    fn said(name: &str, length: u64, base: &str) -> String {
        format!(
            r#","custom":{{"attached":{{"delta":{{"target":"{name}","length":{length},"sha256":"{DIGEST}",{base}"format":"x"}}}}}}"#
        )
    }
    fn base(length: u64) -> String {
        format!(r#""base":{{"length":{length},"sha256":"{DIGEST}"}},"#)
    }

    #[test]
    fn an_image_with_a_delta_and_without() {
        check(&said("dir/os.img.delta.zst", 7, &base(8)), Ok(Some(("dir/os.img.delta.zst", 7, 8))));
        check("", Ok(None));
        check(r#","custom":{"attached":{"sbom":{}}}"#, Ok(None));
    }
    #[test]
    fn a_delta_that_is_called_as_something_else() {
        for name in ["dir/other.img.delta.zst", "dir/os.img", "dir/os.imgx", "../dir/os.img.x", ""] {
            check(&said(name, 7, &base(8)), Err(BadMetadata::BadTargetName));
        }
    }
    #[test]
    fn a_delta_of_which_too_little_is_said() {
        check(&said("dir/os.img.d", 7, ""), Err(BadRelease::Field("base").into()));
        check(&said("dir/os.img.d", 7, r#""base":{"length":1},"#), Err(BadRelease::Field("sha256").into()));
        check(&said("dir/os.img.d", 7, &base(IMAGE_LEN_MAX + 1)), Err(BadRelease::BadLength.into()));
        check(r#","custom":{"attached":{"delta":[]}}"#, Err(BadRelease::Field(KIND).into()));
    }
    #[test]
    fn it_is_where_the_repository_has_it() {
        let text =
            format!("{{\"length\":9,\"hashes\":{{\"sha256\":\"{DIGEST}\"}}{}}}", said("dir/os.img.d", 7, &base(8)));
        let delta = Delta::to(&announced("dir/os.img", &text)).unwrap().unwrap();
        assert_eq!(delta.target().path(), format!("dir/{DIGEST}.os.img.d"));
    }
}
