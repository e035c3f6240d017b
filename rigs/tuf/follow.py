#!/usr/bin/env python3
"""The reference implementation of TUF publishes, and `cradle tuf-client` follows: well, or not, as each case expects.

    rigs/tuf/follow.py PATH [CASE]...     PATH: the program

The cases are those of the public conformance suite (theupdateframework/tuf-conformance), written anew: it drives clients by
the same command line, and cannot be had from a package registry.
Exit status: 0 all are as expected; 1 one is not, and is named; 2 the rig could not do its work.
Needs: python-tuf, python cryptography, faketime.
"""
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import mldsa
from publisher import ALL, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, Publisher, Server, in_days
from securesystemslib.signer import CryptoSigner, Signature, Signer, SSlibKey
from tuf.api.metadata import Metadata

CASES = {}


def case(*variants):
    def named(function):
        for variant in variants or (None,):
            name = function.__name__ + ("" if variant is None else f"[{variant}]")
            CASES[name] = lambda world, f=function, v=variant: f(world) if v is None else f(world, v)
        return function
    return named


class Disagrees(Exception):
    """The client did what was not expected."""


class World:
    """One publisher and one client."""

    def __init__(self, binary, home, publisher, url):
        self.binary, self.home, self.repo, self.url = binary, home, publisher, url
        self.metadata, self.images = home / "metadata", home / "targets"
        self.init(publisher.published[ROOT])

    def run(self, *words, at=None):
        shifted = ["faketime", at.strftime("%Y-%m-%d %H:%M:%S")] if at else []
        words = [*shifted, self.binary, "tuf-client", "--metadata-dir", self.metadata, "--metadata-url", f"{self.url}/metadata/",
                 *words]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, check=False,
                              env={"PATH": "/usr/bin:/bin", "TZ": "UTC"})
        self.said = (done.stdout + done.stderr).strip()
        if done.returncode not in (0, 1):
            raise Disagrees(f"exit status {done.returncode}: {self.said}")
        return done.returncode == 0

    def init(self, root):
        (self.home / "initial.json").write_bytes(root)
        return self.run("init", self.home / "initial.json")

    def refresh(self, ok, at=None):
        self.must(f"refresh {'succeeds' if ok else 'fails'}", self.run("refresh", at=at) == ok)

    def download(self, name, ok, at=None):
        done = self.run("--target-name", name, "--target-dir", self.images, "--target-base-url", f"{self.url}/targets/",
                        "download", at=at)
        self.must(f"download of {name} {'succeeds' if ok else 'fails'}", done == ok)

    def must(self, what, is_so):
        if not is_so:
            raise Disagrees(f"not so: {what}; it said: {self.said}")

    def version(self, role):
        path = self.metadata / f"{role}.json"
        return json.loads(path.read_bytes())["signed"]["version"] if path.exists() else None

    def kept(self):
        return {path.name: Metadata.from_file(str(path)).signed.version for path in self.metadata.glob("*.json")}

    def versions(self, **expected):
        found = {role: self.version(role) for role in expected}
        self.must(f"versions are {expected}, not {found}", found == expected)

    def downloaded(self):
        return sorted(path.read_bytes() for path in self.images.rglob("*") if path.is_file())


# ---- The way it should go ----

@case()
def first_refresh(w):
    w.refresh(True)
    w.must("four files, in order", w.repo.asked == ["2.root", "timestamp", "1.snapshot", "1.targets"])
    for role in (ROOT, *ALL):
        w.must(f"{role} is kept as it came", (w.metadata / f"{role}.json").read_bytes() == w.repo.published[role])
    w.repo.asked.clear()
    w.refresh(True)
    w.must("nothing new is fetched", w.repo.asked == ["2.root", "timestamp"])


@case()
def unknown_fields(w):
    w.repo.signed(ROOT).unrecognized_fields["x"] = {"a": [1, "ä"]}
    w.repo.publish(ROOT)
    w.refresh(True)
    w.must("root is kept as it came", (w.metadata / "root.json").read_bytes() == w.repo.published[ROOT])


@case()
def download_refreshes_first(w):
    w.download("nothing", False)
    w.must("four files", w.repo.asked == ["2.root", "timestamp", "1.snapshot", "1.targets"])
    w.versions(root=1, timestamp=1, snapshot=1, targets=1)


@case("image", "path/to/an/image", "a name with spaces", "100%", "ä?#&")
def images(w, name):
    w.repo.image(TARGETS, name, b"the image")
    w.repo.publish(*ALL)
    w.download(name, True)
    w.must("it is the image", w.downloaded() == [b"the image"])
    w.repo.asked.clear()
    w.download(name, True)
    w.must("an image that is there is not fetched again", f"image {name}" not in w.repo.asked)
    w.repo.image(TARGETS, name, b"the next image")
    w.repo.publish(*ALL)
    w.download(name, True)
    w.must("the next image is in its place", w.downloaded() == [b"the next image"])


@case()
def two_hashes(w):
    w.repo.image(TARGETS, "image", b"the image", ("sha256", "sha512"))
    w.repo.publish(*ALL)
    w.download("image", True)


@case("longer", "shorter", "other")
def another_image(w, how):
    w.repo.image(TARGETS, "image", b"the image")
    w.repo.publish(*ALL)
    w.download("image", True)
    w.repo.image(TARGETS, "second", b"the second")
    w.repo.publish(*ALL)
    w.repo.images["second"] = {"longer": b"the second ", "shorter": b"the secon", "other": b"the sec0nd"}[how]
    w.download("second", False)
    w.must("only what was signed is there", w.downloaded() == [b"the image"])


# ---- Roots and keys ----

ROTATIONS = {  # keys, threshold, signatures; and whether the last one is taken
    "1 of 1 rotated": ([([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])], True),
    "other signatures beside": ([([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4])], True),
    "3 of 5, other three": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 2, 3, 4], 3, [0, 4, 1])], True),
    "3 of 5, one rotated": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 1])], True),
    "3 of 5, all rotated": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7])], True),
    "threshold up": ([([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2])], True),
    "threshold down": ([([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1, 2]), ([1, 2, 3], 1, [1])], True),
    "old key missing": ([([1], 1, [1]), ([2], 1, [2, 3, 4])], False),
    "new key missing": ([([1], 1, [1]), ([2], 1, [1, 3, 4])], False),
    "3 of 5, two new": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 2, 4])], False),
    "3 of 5, two old": ([([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 5])], False),
    "threshold up, one": ([([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [2])], False),
    "threshold down, one": ([([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1])], False),
}


@case(*ROTATIONS)
def root_rotation(w, name):
    roots, ok = ROTATIONS[name]
    signers = [CryptoSigner.generate_ed25519() for _ in range(10)]
    w.repo.signed(ROOT).version = 0
    for keys, threshold, by in roots:
        role = w.repo.signed(ROOT).roles[ROOT]
        for keyid in list(role.keyids):
            w.repo.signed(ROOT).revoke_key(keyid, ROOT)
        for key in keys:
            w.repo.signed(ROOT).add_key(signers[key].public_key, ROOT)
        role.threshold, w.repo.signers[ROOT] = threshold, [signers[key] for key in by]
        w.repo.publish(ROOT)
    (w.metadata / "root.json").unlink()
    w.must("init", w.init(w.repo.files["1.root"]))
    w.refresh(ok)
    last = len(roots) if ok else len(roots) - 1
    w.must("the last good root is kept", (w.metadata / "root.json").read_bytes() == w.repo.files[f"{last}.root"])


class MlDsaSigner(Signer):
    """TAP 21; securesystemslib verifies it, and signs with it in a cloud only."""

    def __init__(self, private):
        self.private, self.key = private, SSlibKey.from_crypto(private.public_key())

    @property
    def public_key(self):
        return self.key

    @classmethod
    def from_priv_key_uri(cls, *_):
        raise NotImplementedError

    def sign(self, payload):
        return Signature(self.key.keyid, self.private.sign(b"tuf\x01" + hashlib.sha512(payload).digest()).hex())


KEYS = {"ed25519": CryptoSigner.generate_ed25519, "ecdsa": CryptoSigner.generate_ecdsa,
        "rsassa-pss-sha256": CryptoSigner.generate_rsa,
        "rsa-pkcs1v15-sha256": lambda: CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256"),
        "ml-dsa-44": lambda: MlDsaSigner(mldsa.MLDSA44PrivateKey.generate()),
        "ml-dsa-65": lambda: MlDsaSigner(mldsa.MLDSA65PrivateKey.generate()),
        "ml-dsa-87": lambda: MlDsaSigner(mldsa.MLDSA87PrivateKey.generate())}


@case(*KEYS)
def key_types(w, scheme):
    signer = KEYS[scheme]()
    w.repo.add_key(ROOT, signer)
    w.repo.signed(ROOT).roles[ROOT].threshold = 2
    w.repo.publish(ROOT)
    w.refresh(True)
    w.versions(root=2)
    w.repo.publish(ROOT)
    other = signer.sign(b"something else").signature

    def forge(said):
        next(s for s in said["signatures"] if s["keyid"] == signer.public_key.keyid)["sig"] = other
    w.repo.change(ROOT, forge)
    w.refresh(False)
    w.versions(root=2)


@case("no version", "forged")
def bad_first_root(w, how):
    said = json.loads(w.repo.published[ROOT])
    if how == "forged":
        said["signatures"][0]["sig"] = "00" * 64
    else:
        del said["signed"]["version"]
    (w.metadata / "root.json").write_text(json.dumps(said))
    w.refresh(False)
    w.must("nothing was asked for", w.repo.asked == [])


@case(ROOT, *ALL)
def below_threshold(w, role):
    w.repo.add_key(role)
    w.repo.signed(ROOT).roles[role].threshold = 2
    w.repo.publish(ROOT, *ALL)
    w.refresh(True)
    w.repo.signers[role].pop()
    w.repo.publish(ROOT, *ALL)
    w.refresh(False)
    w.versions(**{role: 2})


@case()
def one_key_twice(w):
    # The role names one key twice, and the signatures are repeated: a threshold of two is not reached by one person.
    w.repo.signed(ROOT).roles[SNAPSHOT].threshold = 2
    w.repo.signed(ROOT).roles[SNAPSHOT].keyids *= 2
    w.repo.publish(ROOT, SNAPSHOT, TIMESTAMP)
    w.repo.change(SNAPSHOT, lambda said: said["signatures"].append(said["signatures"][0]))
    w.refresh(False)
    w.must("no snapshot is trusted", w.version(SNAPSHOT) is None)


@case()
def one_signature_twice_though_one_is_enough(w):
    w.repo.change(SNAPSHOT, lambda said: said["signatures"].append(said["signatures"][0]))
    w.refresh(False)


@case("forged", "empty")
def a_bad_signature_beside_a_good_one(w, how):
    w.repo.add_key(TIMESTAMP)
    w.repo.publish(ROOT, TIMESTAMP)

    def spoil(said):
        said["signatures"][0]["sig"] = "" if how == "empty" else said["signatures"][1]["sig"]
    w.repo.change(TIMESTAMP, spoil)
    w.refresh(True)


@case()
def more_threshold_than_keys(w):
    for _ in range(4):
        w.repo.add_key(SNAPSHOT)
    w.repo.signed(ROOT).roles[SNAPSHOT].threshold = 6
    w.repo.publish(ROOT, SNAPSHOT, TIMESTAMP)
    w.refresh(False)
    w.versions(root=2, snapshot=None)


# ---- Rollback, freeze, mix-and-match ----

@case()
def older_timestamp(w):
    w.repo.publish(TIMESTAMP)
    w.refresh(True)
    w.repo.signed(TIMESTAMP).version = 1
    w.repo.publish_as_is(TIMESTAMP)
    w.refresh(False)
    w.versions(timestamp=2)
    w.must("nothing more is asked", w.repo.asked[-1] == "timestamp")


@case("plain", "hashes")
def older_snapshot(w, how):
    w.repo.hashes = how == "hashes"
    w.repo.publish(SNAPSHOT, TIMESTAMP)
    w.refresh(True)
    w.repo.signed(SNAPSHOT).version = 1
    w.repo.publish_as_is(SNAPSHOT)
    w.repo.publish(TIMESTAMP)
    w.refresh(False)
    w.versions(timestamp=2, snapshot=2)


@case("plain", "hashes")
def older_targets(w, how):
    w.repo.hashes = how == "hashes"
    w.repo.publish(*ALL)
    w.refresh(True)
    w.repo.signed(TARGETS).version = 1
    w.repo.publish_as_is(TARGETS)
    w.repo.publish(SNAPSHOT, TIMESTAMP)
    w.refresh(False)
    w.versions(snapshot=2, targets=2)


@case()
def a_role_vanishes(w):
    w.repo.delegate(TARGETS, "supplier")
    w.repo.publish("supplier", *ALL)
    w.refresh(True)
    del w.repo.signed(SNAPSHOT).meta["supplier.json"]
    w.repo.publish(SNAPSHOT, TIMESTAMP)
    w.refresh(False)
    w.versions(snapshot=2)


@case("plain", "hashes")
def another_timestamp_of_one_version(w, how):
    w.repo.hashes = how == "hashes"
    w.refresh(True)
    kept = (w.metadata / "timestamp.json").read_bytes()
    w.repo.signed(TIMESTAMP).snapshot_meta.version = 100
    w.repo.publish_as_is(TIMESTAMP)
    w.refresh(True)
    w.must("the first one is kept", (w.metadata / "timestamp.json").read_bytes() == kept)


@case(SNAPSHOT, TARGETS)
def other_octets_than_announced(w, role):
    w.repo.hashes = True
    w.repo.publish(*ALL)
    w.refresh(True)
    w.repo.publish(*ALL)
    w.repo.files[f"3.{role}"] += b" "
    w.refresh(False)
    w.versions(**{role: 2})


@case(SNAPSHOT, TARGETS)
def another_version_than_announced(w, role):
    w.refresh(True)
    w.repo.publish(*ALL)
    w.repo.files[f"2.{role}"] = w.repo.files[f"1.{role}"]
    w.refresh(False)
    w.versions(**{role: 1})


@case(TIMESTAMP, SNAPSHOT, TARGETS)
def expired(w, role):
    w.refresh(True)
    w.repo.signed(role).expires = in_days(-5)
    w.repo.publish(*ALL)
    w.refresh(False)
    w.versions(**{role: 1})


@case()
def expired_root(w):
    w.refresh(True)
    w.repo.signed(ROOT).expires = in_days(-1)
    w.repo.publish(ROOT, *ALL)
    w.refresh(False)
    w.versions(root=2, timestamp=1, snapshot=1)
    w.repo.signed(ROOT).expires = in_days(1)
    w.repo.publish(ROOT)
    w.refresh(True)
    w.versions(root=3, timestamp=2)


@case()
def kept_metadata_has_expired(w):
    w.repo.signed(TIMESTAMP).expires = in_days(7)
    w.repo.publish(TIMESTAMP)
    w.refresh(True)
    w.repo.signed(TIMESTAMP).expires = in_days(21)
    w.repo.publish(*ALL)
    w.refresh(True, at=in_days(18))
    w.versions(timestamp=3, snapshot=2, targets=2)


@case()
def kept_metadata_has_expired_and_is_all_there_is(w):
    w.repo.signed(TIMESTAMP).expires = in_days(7)
    w.repo.publish(TIMESTAMP)
    w.refresh(True)
    w.refresh(False, at=in_days(18))


@case(TIMESTAMP, SNAPSHOT, TARGETS)
def fast_forward(w, role):
    for _ in range(99):
        w.repo.publish(role)
    w.repo.publish(*[r for r in ALL if r != role and ALL.index(r) > ALL.index(role)])
    w.refresh(True)
    w.versions(**{role: 100})
    for rotated in {TIMESTAMP: [TIMESTAMP], SNAPSHOT: [SNAPSHOT, TIMESTAMP], TARGETS: [SNAPSHOT]}[role]:
        w.repo.rotate(rotated)
    w.repo.publish(ROOT)
    w.repo.signed(role).version = 1
    w.repo.publish_as_is(role)
    w.repo.publish(*[r for r in ALL if r != role])
    if role != TIMESTAMP:
        w.repo.publish(TIMESTAMP)
    else:
        w.repo.publish_as_is(TIMESTAMP)
    if role == TARGETS:
        w.repo.publish(SNAPSHOT, TIMESTAMP)
    w.refresh(True)
    w.must(f"{role} is back", w.version(role) < 100)


# ---- Delegations ----

GRAPHS = {  # edges with a pattern if it is not "*", "!" before the name of one that terminates; and the order
    "one": ("targets>A", "A"),
    "two": ("targets>A targets>B", "A B"),
    "depth first": ("targets>A targets>B A>C A>D", "A C D B"),
    "deep": ("targets>A targets>B A>C C>D", "A C D B"),
    "terminating": ("targets>A targets>B A>!C A>D", "A C"),
    "terminating and deeper": ("targets>A targets>B A>!C C>D", "A C D"),
    "another path": ("targets>A:*.py targets>B A>C", "B"),
    "another path deeper": ("targets>A targets>B A>C:*.py C>D", "A B"),
    "circle": ("targets>A targets>B B>C C>D D>B", "A B C D"),
    "diamond": ("targets>A targets>B B>C A>C", "A C B"),
    "diamond of two paths": ("targets>A targets>B B>C A>C:*.py", "A B C"),
}


@case(*GRAPHS)
def graphs(w, name):
    edges, order = GRAPHS[name]
    roles = []
    for edge in edges.split():
        parent, child = edge.split(">")
        child, _, path = child.partition(":")
        w.repo.delegate(parent, child.lstrip("!"), [path or "*"], child.startswith("!"))
        roles += [r for r in (child.lstrip("!"),) if r not in roles]
    w.repo.publish(*roles, *ALL)
    w.download("missing", False)
    asked = [name.partition(".")[2] for name in w.repo.asked[4:]]
    w.must(f"{asked} is {order}", asked == order.split())


@case("README.md", "releases/x/x_v1", "releases/y/y_v1.zip", "!releases/z/z_v1.zip", "!releases/y/y_v1.tar")
def paths(w, name):
    for parent, child, patterns in [(TARGETS, "A", ["*.doc", "*.md"]), (TARGETS, "B", ["releases/*/*"]),
                                    ("B", "C", ["releases/x/*"]), ("B", "D", ["releases/y/*.zip"])]:
        w.repo.delegate(parent, child, patterns)
    for role, path in [("A", "README.md"), ("C", "releases/x/x_v1"), ("D", "releases/y/y_v1.zip"),
                       ("D", "releases/z/z_v1.zip"), ("D", "releases/y/y_v1.tar")]:
        w.repo.image(role, path, path.encode())
    w.repo.publish(*"ABCD", *ALL)
    w.download(name.lstrip("!"), not name.startswith("!"))


@case("?", "#", "/supplier", "../supplier", "a b", "ä", ".")
def unusual_role_names(w, role):
    w.repo.delegate(TARGETS, role)
    w.repo.image(role, "image", b"of the supplier")
    w.repo.publish(role, *ALL)
    w.download("image", True)
    w.must("five roles are kept", len(w.kept()) == 5)
    w.must("nothing is kept elsewhere", sorted(p.name for p in w.home.iterdir()) == ["initial.json", "metadata", "targets"])


@case()
def expired_delegated_role(w):
    w.repo.delegate(TARGETS, "supplier", expires=in_days(-1))
    w.repo.image("supplier", "image", b"late")
    w.repo.publish("supplier", *ALL)
    w.refresh(True)
    w.download("image", False)
    w.must("it is not kept", "supplier.json" not in w.kept())


@case()
def kept_delegated_role_has_expired(w):
    w.repo.delegate(TARGETS, "supplier", expires=in_days(7))
    w.repo.image("supplier", "first", b"first")
    w.repo.image("supplier", "second", b"second")
    w.repo.publish("supplier", *ALL)
    w.download("first", True)
    w.download("second", False, at=in_days(18))
    w.repo.signed("supplier").expires = in_days(21)
    w.repo.publish("supplier", SNAPSHOT, TIMESTAMP)
    w.download("second", True, at=in_days(18))


@case(1, 4, 9)
def succinct_bins(w, bits):
    bins = w.repo.bins(bits, "bin")
    names = [f"image-{n}" for n in range(3)]
    for name in names:
        w.repo.image(bins.get_role_for_target(name), name, name.encode())
    w.repo.publish(*bins.get_roles(), *ALL)
    for name in names:
        w.download(name, True)


@case()
def bins_by_prefix(w):
    digest = hashlib.sha256(b"image").hexdigest()
    w.repo.delegate(TARGETS, "other", prefixes=["0" if digest[0] != "0" else "1"])
    w.repo.delegate(TARGETS, "mine", prefixes=[digest[:2]])
    for role in ("other", "mine"):
        w.repo.image(role, "image", b"of a bin")
    w.repo.publish("other", "mine", *ALL)
    w.download("image", True)
    w.must("only one bin was asked", "1.other" not in w.repo.asked)


@case()
def without_consistent_snapshots(w):
    w.repo.signed(ROOT).consistent_snapshot = False
    w.repo.delegate(TARGETS, "supplier", ["*/*"])
    w.repo.image("supplier", "path/image", b"plain")
    w.repo.publish(ROOT, "supplier", *ALL)
    w.download("path/image", True)
    w.must("no versions in names", w.repo.asked[2:] == ["timestamp", SNAPSHOT, TARGETS, "supplier", "image path/image"])


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    binary, chosen = Path(sys.argv[1]).resolve(), sys.argv[2:] or list(CASES)
    failed = 0
    for name in chosen:
        publisher = Publisher()
        with tempfile.TemporaryDirectory(prefix="cradle-tuf-") as home, Server(publisher) as url:
            try:
                CASES[name](World(binary, Path(home), publisher, url))
            except Disagrees as disagrees:
                failed += 1
                print(f"FAILED {name}: {disagrees}")
    print(f"{len(chosen)} cases of TUF, {failed} not as expected")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
