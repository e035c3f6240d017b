//! The codes of what commands about repositories say.

use crate::fault::Exit;

/// Those of following repositories, and of publishing.
pub(super) const UPDATES: [(&str, Exit, &str, &str); 14] = [
    (
        "root",
        Exit::Failed,
        "a file cannot be the first root of a repository, or is not the one that this box began with",
        "get it again from whoever publishes and compare its SHA-256 with them, or put it back from a backup",
    ),
    (
        "damaged",
        Exit::Failed,
        "something in the vault is not what was put there",
        "import it again from where it came: what is damaged is replaced",
    ),
    (
        "no-repository",
        Exit::NotFound,
        "a directory is no repository of software",
        "name it with --repository, or begin one with `cradle repo init`",
    ),
    (
        "repository",
        Exit::Failed,
        "something cannot be staged or published as it is, for the reason that is named",
        "correct it; what clients get has not changed",
    ),
    (
        "developer-signature",
        Exit::Refused,
        "a developer's signature over an image is not believed, or fewer developers have signed it than must",
        "nothing was staged; have the image signed by who is registered, see `cradle repo developer list`",
    ),
    (
        "second-signature",
        Exit::Refused,
        "an image is for hardware of which several roles must say the same, and its role is asked alone",
        "nothing was staged; leave such names to several roles with `cradle repo delegate --together`, and see `cradle repo demand`",
    ),
    (
        "notice-unknown",
        Exit::NotFound,
        "nobody is told under this name of what is published",
        "see who is: `notice list`",
    ),
    (
        "notice-waits",
        Exit::Partial,
        "somebody who is told of what is published has not heard it yet",
        "`notice send` tells again, `director serve` by itself",
    ),
    (
        "repository-waits",
        Exit::Partial,
        "something is staged and not complete: signatures are missing, above all",
        "sign it here with --key or elsewhere with `cradle repo sign`, and publish again",
    ),
    (
        "repository-wrong",
        Exit::Failed,
        "a file of a repository is missing, altered, expired or not found by clients",
        "mend the first thing that is named; docs/repository.md says how",
    ),
    (
        "uptane-refused",
        Exit::Failed,
        "the director and the image repository do not agree, or what they say is not for this device",
        "nothing of it was taken; tell who publishes",
    ),
    (
        "tuf-refused",
        Exit::Failed,
        "what a repository says cannot be believed, for the reason that is named",
        "nothing of it was taken and nothing is to be repaired; docs/software.md says what each attack is",
    ),
    (
        "tuf-incomplete",
        Exit::Failed,
        "a repository did not answer as it must",
        "check its address, and try again later",
    ),
    ("tuf-no-target", Exit::Failed, "no role that may says anything of the target", "check its name"),
];
