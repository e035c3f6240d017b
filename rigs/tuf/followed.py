#!/usr/bin/env python3
"""`cradle repo` publishes, and the reference implementation's client of TUF follows: well at every stage.

    rigs/tuf/followed.py [--js DIR] [--sigstore FILE] PATH [CASE]...

PATH: the program; DIR: where tuf-js is installed, beside follow.js; FILE: the program that is built in rigs/tuf/sigstore.

Each case is one repository and one device that begins with its first root and never begins again: rotations of every role,
delegations, bins, renewal, signing elsewhere, and a kill at every call that changes the disk.
Exit status: 0 all are as expected; 1 one is not, and is named; 2 the rig could not do its work.
With --js a second device follows with tuf-js, where tuf-js knows the types of keys; with --sigstore a third with sigstore-tuf.
Needs: python-tuf, faketime, strace; node.
"""
import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater, UpdaterConfig

CASES = {}
# Calls after which a file is another one, or is durably so.
CALLS = ["rename", "fsync", "unlink", "mkdir", "write"]


def case(function):
    CASES[function.__name__] = function
    return function


class Disagrees(Exception):
    """Something was not as expected."""


class World:
    """One repository, served as it lies there, and one device that follows it."""

    def __init__(self, binary, home, js=None, sigstore=None):
        self.binary, self.home, self.dir, self.js = binary, home, home / "repository", js
        self.sigstore = sigstore
        self.late = timedelta()
        handler = functools.partial(Quiet, directory=str(self.dir))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        # A client that has what it wants hangs up.
        self.server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        (home / "device").mkdir()

    def run(self, *words, status=0, before=()):
        """`cradle repo` at a time of ours."""
        at = datetime.now(timezone.utc) + self.late
        shifted = ["faketime", at.strftime("%Y-%m-%d %H:%M:%S")] if self.late else []
        words = [*before, *shifted, self.binary, "repo", "-o", "json", "--repository", self.dir, *words]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False,
                              cwd=self.home, env={"PATH": "/usr/bin:/bin", "TZ": "UTC"})
        if status is not None and done.returncode != status:
            raise Disagrees(f"exit status {done.returncode} of {words[-4:]}: {(done.stdout + done.stderr).strip()}")
        if status is None:
            return done.returncode
        return json.loads(done.stdout) if done.stdout.strip() else None

    def key(self, name):
        """A key of somebody elsewhere: its file."""
        path = self.home / f"{name}.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True, capture_output=True)
        return path

    def add(self, name, text, *words):
        (self.home / "image").write_text(text)
        return self.run("add", self.home / "image", "--name", name, *words)

    def begin(self, *words):
        self.run("init", *words)
        self.add("image", "first")
        self.run("publish")

    def follow(self, name="image", device="device", at=None):
        """What a device gets under a name; nothing if nobody announces it."""
        kept = self.kept(device)
        updater = Updater(str(kept), f"{self.url}/metadata/", str(self.home / device / "images"), f"{self.url}/targets/",
                          config=UpdaterConfig(), bootstrap=None)
        updater._trusted_set.reference_time = at or datetime.now(timezone.utc) + self.late
        try:
            updater.refresh()
            about = updater.get_targetinfo(name)
            return Path(updater.download_target(about)).read_text() if about else None
        except (RepositoryError, DownloadError) as fault:
            raise Disagrees(f"the device was refused {name}: {type(fault).__name__}: {fault}") from fault

    def kept(self, who):
        """Where another device keeps its metadata; it begins with the first root."""
        kept = self.home / who / "metadata"
        if not kept.exists():
            kept.mkdir(parents=True)
            (self.home / who / "images").mkdir()
            (kept / "root.json").write_bytes((self.dir / "metadata/1.root.json").read_bytes())
        return kept

    def follow_with_js(self, name):
        kept = self.kept("js")
        at = datetime.now(timezone.utc) + self.late
        shifted = ["faketime", at.strftime("%Y-%m-%d %H:%M:%S")] if self.late else []
        done = subprocess.run([*shifted, "node", str(self.js / "follow.js"), str(kept), str(self.home / "js/images"), self.url,
                               name], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "TZ": "UTC"})
        if done.returncode != 0:
            raise Disagrees(f"tuf-js was refused {name}: {done.stderr.strip()[-600:]}")
        return done.stdout or None

    def follow_with_sigstore(self, name):
        at = datetime.now(timezone.utc) + self.late
        done = subprocess.run([self.sigstore, self.kept("sigstore"), self.dir, at.strftime("%Y-%m-%dT%H:%M:%SZ"), name],
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Disagrees(f"sigstore-tuf was refused {name}: {done.stderr.strip()[-600:]}")
        return done.stdout or None

    def gets(self, text, name="image"):
        got = self.follow(name)
        if got != text:
            raise Disagrees(f"the device got {got!r} for {name}, not {text!r}")
        if self.js and (got := self.follow_with_js(name)) != text:
            raise Disagrees(f"tuf-js got {got!r} for {name}, not {text!r}")
        if self.sigstore and (got := self.follow_with_sigstore(name)) != text:
            raise Disagrees(f"sigstore-tuf got {got!r} for {name}, not {text!r}")
        if self.run("verify")["wrong"]:
            raise Disagrees("verify finds something wrong")

    def key_ids(self, role):
        return next(one["keys"] for one in self.run("status")["roles"] if one["role"] == role)

    def version(self, role):
        return next(one["version"] for one in self.run("status")["roles"] if one["role"] == role)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@case
def an_image_and_the_next(w):
    w.begin()
    w.gets("first")
    w.add("image", "second")
    w.add("dir/a name with spaces, 100% and ä", "other")
    w.gets("first")
    w.run("publish")
    w.gets("second")
    w.gets("other", "dir/a name with spaces, 100% and ä")
    w.run("remove", "image")
    w.run("publish")
    w.gets(None)


@case
def every_role_gets_other_keys(w):
    w.begin()
    now = "first"
    w.gets(now)
    for role in ("timestamp", "snapshot", "targets", "root"):
        old, new = w.dir / f"keys/{role}.pem", w.key(f"new-{role}")
        w.run("rotate", role, "--add", new, "--remove", w.key_ids(role)[0])
        w.run("publish", "--key", new)
        w.gets(now)
        old.unlink()
        new.rename(old)
        now = f"after {role}"
        w.add("image", now)
        w.run("publish")
        w.gets(now)


@case
def all_keys_at_once_of_all_types(w):
    # tuf-js verifies P-384 with SHA-256, against its own scheme's name.
    w.js = None
    w.begin()
    w.gets("first")
    keys = {}
    for role, algorithm in [("timestamp", ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
                            ("snapshot", ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
                            ("targets", ["ed25519"]), ("root", ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"])]:
        keys[role] = w.home / f"{role}.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", *algorithm, "-out", str(keys[role])], check=True,
                       capture_output=True)
        w.run("rotate", role, "--add", keys[role], "--remove", w.key_ids(role)[0])
    w.run("publish", *[word for key in keys.values() for word in ("--key", key)])
    w.gets("first")
    for role, key in keys.items():
        key.rename(w.dir / f"keys/{role}.pem")
    w.add("image", "second")
    w.run("publish")
    w.gets("second")


@case
def ml_dsa(w):
    # tuf-js does not know TAP 21.
    w.js = None
    w.begin("--key-type", "ml-dsa-65")
    w.gets("first")


@case
def two_of_three_and_elsewhere(w):
    one, two, three = (w.key(name) for name in ("one", "two", "three"))
    w.run("init", *[word for key in (one, two, three) for word in ("--key", f"targets={key}")], "--threshold", "targets=2")
    w.add("image", "first")
    w.run("publish", status=8)
    staged = w.dir / "staged/targets.json"
    copy = w.home / "targets.json"
    copy.write_bytes(staged.read_bytes())
    said = w.run("sign", copy, "--key", one, "--yes")
    if not any("target image" in line for line in said["says"]):
        raise Disagrees(f"who signs is not told of the image: {said}")
    w.run("publish", copy, "--key", three)
    w.gets("first")


@case
def suppliers(w):
    w.begin()
    w.gets("first")
    modem, radio = w.key("modem"), w.key("radio")
    w.run("delegate", "modem", "--path", "modem/*", "--signer", modem, "--terminating")
    w.run("delegate", "radio", "--from", "modem", "--path", "modem/*.radio", "--signer", radio)
    w.add("modem/a", "of the modem", "--role", "modem")
    w.add("modem/a.radio", "of the radio", "--role", "radio")
    w.run("publish", "--key", modem, "--key", radio)
    w.gets("of the modem", "modem/a")
    w.gets("of the radio", "modem/a.radio")
    new = w.key("new")
    w.run("rotate", "radio", "--add", new, "--remove", w.key_ids("radio")[0])
    w.run("publish", "--key", modem, "--key", new)
    w.gets("of the radio", "modem/a.radio")
    w.run("delegate", "modem", "--withdraw")
    w.run("publish")
    w.gets(None, "modem/a")
    w.gets("first")


def bins(w, *words):
    w.begin()
    w.gets("first")
    w.run("bins", 5, *words)
    w.run("publish")
    w.gets("first")
    for n in range(5):
        w.add(f"image-{n}", f"number {n}")
    w.run("publish")
    for n in range(5):
        w.gets(f"number {n}", f"image-{n}")


@case
def hashed_bins(w):
    bins(w)


@case
def succinct_bins(w):
    # sigstore-tuf does not know TAP 15.
    w.sigstore = None
    bins(w, "--succinct")


@case
def time_goes_by(w):
    w.begin()
    w.gets("first")
    for days in (5, 28, 363):
        w.late = timedelta(days=days)
        w.run("renew")
        w.gets("first")
    if w.version("root") != 2 or w.version("timestamp") != 4:
        raise Disagrees("root was to be renewed once, the timestamp three times")
    w.late = timedelta(days=371)
    try:
        w.follow()
    except Disagrees as refused:
        if "ExpiredMetadataError" not in str(refused):
            raise
    else:
        raise Disagrees("the device follows what has expired")
    w.run("renew")
    w.gets("first")


@case
def what_is_old_goes(w):
    w.begin()
    for n in range(5):
        w.add("image", f"number {n}")
        w.run("publish")
    w.run("prune", "--keep", 0)
    left = sorted(path.name for path in (w.dir / "metadata").iterdir())
    if left != ["1.root.json", "6.snapshot.json", "6.targets.json", "timestamp.json"]:
        raise Disagrees(f"these are left: {left}")
    w.gets("number 4")


def killed(w, calls, *words):
    """Publishes the next image and another timestamp key, killed before each of these calls, from the same start each time.
    Gives what the device got then, or `None` if it was refused; and publishes to the end before the next one."""
    w.begin()
    w.gets("first")
    new = w.key("new")
    w.add("image", "second")
    w.run("rotate", "timestamp", "--add", new, "--remove", w.key_ids("timestamp")[0])
    before = w.home / "before"
    before.mkdir()
    for name in ("repository", "device"):
        subprocess.run(["cp", "-a", str(w.home / name), str(before)], check=True)
    w.js = None
    for call in calls:
        for n in range(1, 1000):
            for name in ("repository", "device"):
                subprocess.run(["rm", "-rf", str(w.home / name)], check=True)
                subprocess.run(["cp", "-a", str(before / name), str(w.home)], check=True)
            strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                      f"inject={call}:signal=SIGKILL:when={n}"]
            ended = w.run("publish", "--key", new, *words, status=None, before=strace) == 0
            try:
                got = w.follow()
            except Disagrees:
                got = None
            yield f"{call} {n}", got
            w.run("publish", "--key", new, *words)
            w.gets("second")
            if ended:
                break


@case
def killed_at_every_call(w):
    seen = {"first": 0, "second": 0}
    for at, got in killed(w, CALLS):
        if got not in seen:
            raise Disagrees(f"killed at {at}: the device got {got!r}")
        seen[got] += 1
    if min(seen.values()) < 5:
        raise Disagrees(f"too few kills before or after: {seen}")
    print(f"killed {sum(seen.values()) - len(CALLS)} times: {seen['first']} devices got the old image, the others the new one")


@case
def control_a_gap_is_seen(w):
    """Without the old keys, the root must come before the timestamp: the rig finds the moment between the two."""
    if None not in [got for _, got in killed(w, ["rename"], "--old-keys-are-gone")]:
        raise Disagrees("no kill showed the gap between root and timestamp: the rig would find none")


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    words, others = sys.argv[1:], {}
    while words and words[0] in ("--js", "--sigstore"):
        others[words[0][2:]], words = Path(words[1]).resolve(), words[2:]
    binary, chosen = Path(words[0]).resolve(), words[1:] or list(CASES)
    failed = 0
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="cradle-repo-") as home:
            world = World(binary, Path(home), **others)
            try:
                CASES[name](world)
            except Disagrees as disagrees:
                failed += 1
                print(f"FAILED {name}: {disagrees}")
            finally:
                world.server.shutdown()
                world.server.server_close()
    print(f"{len(chosen)} cases of publishing, {failed} not as expected")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
