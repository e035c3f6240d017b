"""Writes a bundle of two files and one image, as crates/update/src/bundle/contents.rs describes it. Nobody signed what is in it."""

import hashlib
import json
import sys

FILES = {"director/timestamp.json": b'{"signed":{}}\n', "images/timestamp.json": b'{"signed":{},"signatures":[]}'}
IMAGE = b"an image"


def entry(octets):
    return {"length": len(octets), "sha256": hashlib.sha256(octets).hexdigest()}


manifest = {
    "format": "cradle-bundle-1",
    "components": ["gateway", "sensor.a"],
    "files": [{"name": name} | entry(octets) for name, octets in sorted(FILES.items())],
    "images": [{"target": "app.img", "path": "ab.app.img", "counter": 7, "device_types": ["gateway", "sensor.a"]} | entry(IMAGE)],
}
line = json.dumps(manifest, separators=(",", ":")).encode()
sys.stdout.buffer.write(line + b"\n" + b"".join(octets for _, octets in sorted(FILES.items())))
