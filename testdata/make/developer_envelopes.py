"""Envelopes (DSSE) around statements of in-toto, by securesystemslib. Keys are made anew and thrown away."""

import copy
import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives import serialization
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

out, image = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def statement(octets, name="firmware.bin", **more):
    digest = {"sha256": hashlib.sha256(octets).hexdigest()}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": digest}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {"buildType": "https://example.org/build", "externalParameters": {}},
                      "runDetails": {"builder": {"id": "https://example.org/builder"}}},
        **more,
    }


def write(name, payload, *signers, payload_type=PAYLOAD_TYPE, twice=False):
    envelope = Envelope(json.dumps(payload).encode(), payload_type, {})
    for signer in signers:
        envelope.sign(signer)
    written = envelope.to_dict()
    if twice:
        written["signatures"] += copy.deepcopy(written["signatures"])
    (out / f"{name}.json").write_text(json.dumps(written) + "\n")


def signer(name, made):
    public = made.public_key.keyval["public"]
    if not public.startswith("-----"):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        public = key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
    (out / f"dsse-{name}.pub").write_text(public)
    return made


octets = image.read_bytes()
ed25519 = signer("ed25519", CryptoSigner.generate_ed25519())
ecdsa = signer("p256", CryptoSigner.generate_ecdsa())
stranger = CryptoSigner.generate_ed25519()
write("dsse-ed25519", statement(octets), ed25519)
write("dsse-p256", statement(octets), ecdsa)
write("dsse-both", statement(octets), ed25519, ecdsa)
write("dsse-twice", statement(octets), ed25519, twice=True)
write("dsse-stranger", statement(octets), stranger)
write("dsse-stranger-and-known", statement(octets), stranger, ed25519)
write("dsse-other-image", statement(b"another"), ed25519)
write("dsse-other-type", statement(octets), ed25519, payload_type="text/plain")
write("dsse-not-in-toto", {"image": "firmware.bin"}, ed25519)
