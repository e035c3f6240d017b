"""Makes a director and an image repository with the reference implementation of TUF, for the tests of `cradle uptane-client`.

Needs what tuf_repository.py needs. They agree on release 8 for the modem of one device; the director in `director-other` says
another hash than the image repository. The keys are made anew and thrown away.
"""
import pathlib
from datetime import datetime, timezone

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

OUT = pathlib.Path(__file__).resolve().parent.parent / "uptane"
END = datetime(2040, 1, 1, tzinfo=timezone.utc)
IMAGE = (OUT.parent / "tuf" / "image.bin").read_bytes()
NAME, DEVICE = "modem/image.bin", "urn:dev:ops:32473-gateway-SN1"


def repository(folder, custom, octets=IMAGE, device=None):
    folder.mkdir(parents=True, exist_ok=True)
    signer = CryptoSigner.generate_ed25519()
    root, timestamp, snapshot, targets = (kind(expires=END) for kind in (Root, Timestamp, Snapshot, Targets))
    for role in ("root", "timestamp", "snapshot", "targets"):
        root.add_key(signer.public_key, role)
    about = TargetFile.from_data(NAME, octets, ["sha256"])
    about.unrecognized_fields["custom"] = custom
    targets.targets[NAME] = about
    if device:
        targets.unrecognized_fields["custom"] = {"device": device}
    snapshot.meta["targets.json"], timestamp.snapshot_meta = MetaFile(1), MetaFile(1)
    for name, said in (("1.root", root), ("timestamp", timestamp), ("1.snapshot", snapshot), ("1.targets", targets)):
        metadata = Metadata(said)
        metadata.sign(signer)
        (folder / f"{name}.json").write_bytes(metadata.to_bytes())


def main():
    directed = {"release_counter": 8, "components": {"modem": {"hardware_id": "modem.a"}}}
    repository(OUT / "images", {"release_counter": 8, "hardware_ids": ["modem.a", "modem.b"]})
    repository(OUT / "director", directed, device=DEVICE)
    repository(OUT / "director-other", directed, IMAGE[::-1], device=DEVICE)


if __name__ == "__main__":
    main()
