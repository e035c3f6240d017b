"""Makes a whole repository with the reference implementation of TUF, for the tests of crates/update.

Needs python-tuf and securesystemslib[crypto], in a virtual environment:
    python3 -m venv V && V/bin/pip install tuf==7.0.1 'securesystemslib[crypto]==1.6.0'
    V/bin/python testdata/make/tuf_repository.py
Three roots, each under keys of other kinds than the one before; a supplier by path; bins by TAP 15; lengths and hashes of all
files announced. The keys are made anew and thrown away.
"""
import hashlib
import pathlib
from datetime import datetime, timezone

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, SuccinctRoles, TargetFile,
                              Targets, Timestamp)

OUT = pathlib.Path(__file__).resolve().parent.parent / "tuf" / "repository"
END = datetime(2040, 1, 1, tzinfo=timezone.utc)
IMAGE = bytes((n * n + 7 * n) % 251 for n in range(4096))


def write(name, said, signers):
    for signer in signers:
        said.sign(signer, append=True)
    octets = said.to_bytes()
    (OUT / name).write_bytes(octets)
    return MetaFile(said.signed.version, len(octets), {"sha256": hashlib.sha256(octets).hexdigest(),
                                                       "sha512": hashlib.sha512(octets).hexdigest()})


def main():
    OUT.mkdir(exist_ok=True)
    (OUT.parent / "image.bin").write_bytes(IMAGE)
    ed25519, ecdsa = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa()
    pss = CryptoSigner.generate_rsa(scheme="rsassa-pss-sha256", size=2048)
    pkcs1 = CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256", size=2048)
    roots = [([ed25519], 1), ([ecdsa], 1), ([pss, pkcs1], 2)]
    root = Root(expires=END)
    for role, signer in (("timestamp", ed25519), ("snapshot", ecdsa), ("targets", pss)):
        root.add_key(signer.public_key, role)
    before = []
    for version, (signers, threshold) in enumerate(roots, 1):
        root.version = version
        for keyid in list(root.roles["root"].keyids):
            root.revoke_key(keyid, "root")
        for signer in signers:
            root.add_key(signer.public_key, "root")
        root.roles["root"].threshold = threshold
        write(f"{version}.root.json", Metadata(root), before + signers)
        before = signers

    snapshot = Snapshot(expires=END, version=7)
    supplier = Targets(expires=END, version=3)
    supplier.targets["supplier/image.bin"] = TargetFile.from_data("supplier/image.bin", IMAGE, ["sha256", "sha512"])
    snapshot.meta["supplier.json"] = write("3.supplier.json", Metadata(supplier), [ecdsa])

    all_bins = SuccinctRoles([], 1, 3, "bin")
    chosen = all_bins.get_role_for_target("packages/a.bin")
    for name in all_bins.get_roles():
        bin_ = Targets(expires=END)
        if name == chosen:
            bin_.targets["packages/a.bin"] = TargetFile.from_data("packages/a.bin", IMAGE, ["sha256"])
            snapshot.meta[f"{name}.json"] = write(f"1.{name}.json", Metadata(bin_), [pkcs1])
    bins = Targets(expires=END, version=2)
    bins.delegations = Delegations({}, None, all_bins)
    bins.add_key(pkcs1.public_key)
    snapshot.meta["bins.json"] = write("2.bins.json", Metadata(bins), [ed25519])

    targets = Targets(expires=END, version=5)
    targets.targets["image.bin"] = TargetFile.from_data("image.bin", IMAGE, ["sha256"])
    targets.delegations = Delegations({}, {"supplier": DelegatedRole("supplier", [], 1, True, ["supplier/*"]),
                                           "bins": DelegatedRole("bins", [], 1, False, ["packages/*"])})
    targets.add_key(ecdsa.public_key, "supplier")
    targets.add_key(ed25519.public_key, "bins")
    snapshot.meta["targets.json"] = write("5.targets.json", Metadata(targets), [pss])

    timestamp = Timestamp(expires=END, version=9)
    timestamp.snapshot_meta = write("7.snapshot.json", Metadata(snapshot), [ecdsa])
    write("timestamp.json", Metadata(timestamp), [ed25519])


if __name__ == "__main__":
    main()
