"""Makes releases with the reference implementation of TUF, for the tests of crates/update.

Needs python-tuf and securesystemslib[crypto], in a virtual environment:
    python3 -m venv V && V/bin/pip install tuf==7.0.1 'securesystemslib[crypto]==1.6.0'
    V/bin/python testdata/make/tuf_release.py
The keys are those of RFC 8032 §7.1 (tests 1 to 3): known to everybody, so that everybody can make these files again.
"""
import hashlib
import json
import pathlib
from datetime import datetime, timezone

import tuf
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Metadata, TargetFile, Targets
from tuf.api.serialization.json import JSONSerializer

OUT = pathlib.Path(__file__).resolve().parent.parent / "tuf"
SEEDS = [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
]
IMAGE = bytes((n * n + 7 * n) % 251 for n in range(4096))


def signer(n):
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SEEDS[n]))
    public = private.public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    (OUT / f"rfc8032-test{n + 1}.spki.der").write_bytes(spki)
    key = SSlibKey(hashlib.sha256(spki).hexdigest(), "ed25519", "ed25519", {"public": raw.hex()})
    return CryptoSigner(private, key)


def targets(expires=datetime(2027, 6, 30, 12, 0, 0, tzinfo=timezone.utc), custom=None, name="gateway-os-1.4.2.img", **more):
    about = {"release": "gateway-os", "release_version": "1.4.2", "release_counter": 7, "hardware_ids": ["type.a", "type.b"]}
    target = TargetFile.from_data(name, IMAGE, ["sha256"])
    target.unrecognized_fields["custom"] = {**about, **(custom or {})}
    return Targets(version=3, spec_version="1.0.34", expires=expires, targets={name: target}, unrecognized_fields=more or None)


def make(what, signed, by, compact=False):
    metadata = Metadata(signed)
    for n in by:
        metadata.sign(SIGNERS[n], append=True)
    octets = metadata.to_bytes(JSONSerializer(compact=compact))
    (OUT / f"python-tuf-{tuf.__version__}-{what}.json").write_bytes(octets)
    return json.loads(octets)


def sign_by_hand(what, signed, n=0):
    """What the reference implementation declines to write, signed with its canonical form all the same."""
    signature = SIGNERS[n].sign(encode_canonical(signed).encode())
    file = {"signatures": [{"keyid": signature.keyid, "sig": signature.signature}], "signed": signed}
    (OUT / f"python-tuf-{tuf.__version__}-{what}.json").write_text(json.dumps(file))


OUT.mkdir(exist_ok=True)
SIGNERS = [signer(n) for n in range(3)]
(OUT / "image.bin").write_bytes(IMAGE)
plain = make("plain", targets(), [0])["signed"]
make("compact", targets(), [0], compact=True)
make("two-signatures", targets(), [0, 1])
make("unsigned", targets(), [])
make("expired", targets(expires=datetime(2026, 1, 1, tzinfo=timezone.utc)), [0])
odd = {"zeta": [1, None, True, {"ä\"b": "\\\n\t\u0007", "aB": "e\u0301 \U0001f4be", "a": 1, "a ": 2}], "Alpha": 18446744073709551615}
make("unknown-fields", targets(custom={"sbom": odd}, **{"x-maker": odd}), [0])
make("path-name", targets(name="../etc/passwd"), [0])
sign_by_hand("spec-2", {**plain, "spec_version": "2.0.0"})
sign_by_hand("type-root", {**plain, "_type": "root"})
sign_by_hand("two-targets", {**plain, "targets": {**plain["targets"], "b": next(iter(plain["targets"].values()))}})
sign_by_hand("negative-counter", {**plain, "version": -3})
print(f"made with python-tuf {tuf.__version__}")
