"""Verifies a release with the reference implementation of TUF: python check_release.py THRESHOLD METADATA IMAGE KEY...

KEY is a SubjectPublicKeyInfo in DER. Says nothing and ends with 0 if all of it holds; otherwise python says what fails.
Needs python-tuf and securesystemslib[crypto], as tuf_release.py does.
"""
import hashlib
import pathlib
import sys

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata, Root, Targets

threshold, metadata, image, *keys = sys.argv[1:]
root = Root()
for name in keys:
    spki = pathlib.Path(name).read_bytes()
    raw = load_der_public_key(spki).public_bytes(Encoding.Raw, PublicFormat.Raw)
    root.add_key(SSlibKey(hashlib.sha256(spki).hexdigest(), "ed25519", "ed25519", {"public": raw.hex()}), "targets")
root.roles["targets"].threshold = int(threshold)

release = Metadata[Targets].from_file(metadata)
assert type(release.signed) is Targets, "not target metadata"
root.verify_delegate("targets", release.signed_bytes, release.signatures)
(target,) = release.signed.targets.values()
target.verify_length_and_hashes(pathlib.Path(image).read_bytes())
