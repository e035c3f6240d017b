"""A repository of TUF that a case can change at will, published with the reference implementation over HTTP on loopback."""
import json
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from securesystemslib.hash import digest as hash_of
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, SuccinctRoles, TargetFile,
                              Targets, Timestamp)

ROOT, TIMESTAMP, SNAPSHOT, TARGETS = "root", "timestamp", "snapshot", "targets"
ALL = [TARGETS, SNAPSHOT, TIMESTAMP]


def in_days(days):
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=days)


class Publisher:
    """What each role says next; what was published; what was asked for."""

    def __init__(self, consistent=True):
        self.hashes = False
        end = in_days(30)
        self.says = {ROOT: Metadata(Root(expires=end, consistent_snapshot=consistent)),
                     TIMESTAMP: Metadata(Timestamp(expires=end)),
                     SNAPSHOT: Metadata(Snapshot(expires=end)), TARGETS: Metadata(Targets(expires=end))}
        self.signers, self.published, self.files, self.asked, self.images = {}, {}, {}, [], {}
        for role in self.says:
            self.add_key(role)
        self.publish(ROOT, *ALL)

    def signed(self, role):
        return self.says[role].signed

    def add_key(self, role, signer=None):
        signer = signer or CryptoSigner.generate_ed25519()
        self.signed(ROOT).add_key(signer.public_key, role)
        self.signers.setdefault(role, []).append(signer)
        return signer

    def rotate(self, role):
        for signer in self.signers.pop(role):
            self.signed(ROOT).revoke_key(signer.public_key.keyid, role)
        self.add_key(role)

    def publish(self, *roles):
        """The next version of each, signed by all its signers, announced by those that are published after it."""
        for role in roles:
            if role in self.published:
                self.signed(role).version += 1
            self.publish_as_is(role)

    def publish_as_is(self, role):
        said = self.says[role]
        said.signatures.clear()
        for signer in self.signers[role]:
            said.sign(signer, append=True)
        self.put(role, said.to_bytes())

    def put(self, role, octets):
        version = self.signed(role).version
        self.published[role] = octets
        plain = role == TIMESTAMP or (role != ROOT and not self.signed(ROOT).consistent_snapshot)
        self.files[role if plain else f"{version}.{role}"] = octets
        about = MetaFile(version)
        if self.hashes:
            running = hash_of("sha256")
            running.update(octets)
            about = MetaFile(version, len(octets), {"sha256": running.hexdigest()})
        if role == SNAPSHOT:
            self.signed(TIMESTAMP).snapshot_meta = about
        elif role not in (ROOT, TIMESTAMP):
            self.signed(SNAPSHOT).meta[f"{role}.json"] = about

    def change(self, role, how):
        """What was published of a role, changed as JSON behind its signatures."""
        said = json.loads(self.published[role])
        how(said)
        self.put(role, json.dumps(said).encode())

    def delegate(self, parent, name, paths=("*",), terminating=False, expires=None, prefixes=None):
        signer = CryptoSigner.generate_ecdsa()
        targets = self.signed(parent)
        if targets.delegations is None:
            targets.delegations = Delegations({}, {})
        paths = None if prefixes else list(paths)
        targets.delegations.roles[name] = DelegatedRole(name, [], 1, terminating, paths, prefixes)
        if name not in self.says:
            self.says[name] = Metadata(Targets(expires=expires or in_days(30)))
            self.signers[name] = [signer]
        targets.add_key(self.signers[name][0].public_key, name)

    def bins(self, bits, prefix):
        signer = CryptoSigner.generate_ed25519()
        bins = SuccinctRoles([], 1, bits, prefix)
        self.signed(TARGETS).delegations = Delegations({}, None, bins)
        self.signed(TARGETS).add_key(signer.public_key)
        for name in bins.get_roles():
            self.says[name], self.signers[name] = Metadata(Targets(expires=in_days(30))), [signer]
        return bins

    def image(self, role, path, octets, hashes=("sha256",)):
        self.signed(role).targets[path] = TargetFile.from_data(path, octets, list(hashes))
        self.images[path] = octets

    def answer(self, path):
        """What is at an address, or nothing."""
        if path.startswith("/metadata/") and path.endswith(".json"):
            name = path[len("/metadata/"):-len(".json")]
            self.asked.append(name)
            return self.files.get(unquote(name))
        folder, _, name = unquote(path)[len("/targets/"):].rpartition("/")
        if self.signed(ROOT).consistent_snapshot:
            prefix, _, name = name.partition(".")
        image = "/".join(filter(None, [folder, name]))
        self.asked.append(f"image {image}")
        octets = self.images.get(image)
        known = [h for t in self.says.values() if isinstance(t.signed, Targets)
                 for f in [t.signed.targets.get(image)] if f for h in f.hashes.values()]
        wrong = self.signed(ROOT).consistent_snapshot and prefix not in known
        return None if wrong else octets


class Server:
    """Serves one publisher, as long as the block lasts."""

    def __init__(self, publisher):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                octets = publisher.answer(self.path)
                if octets is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
