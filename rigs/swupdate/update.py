#!/usr/bin/env python3
"""Debian's own swupdate updates itself from `cradle director serve`, over hawkBit's interface and mutual TLS.

    rigs/swupdate/update.py PATH [CASE]...     PATH: the program

Each case is one image repository, one director, and devices that are swupdate as Debian ships it, which writes a file.
Exit status: 0 all are as expected; 1 one is not, and is named; 2 the rig could not do its work.
Needs: swupdate, openssl.
"""
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CASES = {}
# Longest that anything may take.
WITHIN_S = 60
# Larger than all buffers on the way together.
IMAGE = os.urandom(1 << 20) * 12
# So often the line is cut in the middle of an image.
CUTS = 10


def case(function):
    CASES[function.__name__] = function
    return function


class Disagrees(Exception):
    """Something was not as expected."""


def expect(got, expected, what):
    if got != expected:
        raise Disagrees(f"{what}: {got!r}, not {expected!r}")


def until(what, found):
    """Waits until something is so, and gives it."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        if got := found():
            return got
        time.sleep(0.05)
    raise Disagrees(f"{what} has not come within {WITHIN_S} s")


def cpio(files):
    """An archive in the format that swupdate reads: `crc`, a sum of octets for each file."""
    out = bytearray()
    for number, (name, octets) in enumerate([*files, ("TRAILER!!!", b"")]):
        last = name == "TRAILER!!!"
        check = 0 if last else sum(octets) & 0xFFFFFFFF
        head = [number, 0 if last else 0o100644, 0, 0, 1, 0, len(octets), 0, 0, 0, 0, len(name) + 1, check]
        out += b"070702" + b"".join(b"%08X" % field for field in head) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + octets
        out += b"\0" * (-len(out) % 4)
    return bytes(out) + b"\0" * (-len(out) % 512)


class Cutter:
    """Between devices and the server: breaks the first lines that carry so much, and counts what came through."""

    def __init__(self, port, cuts, after):
        self.port, self.cuts, self.after = port, cuts, after
        self.cut, self.carried, self.lock = 0, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.at = self.listener.getsockname()[1]
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near):
        with near, socket.create_connection(("127.0.0.1", self.port)) as far:
            came = 0
            while True:
                for one in select.select([near, far], [], [])[0]:
                    try:
                        octets = one.recv(65536)
                        if not octets:
                            return
                        (far if one is near else near).sendall(octets)
                    except OSError:
                        return
                    if one is near:
                        continue
                    came += len(octets)
                    with self.lock:
                        self.carried += len(octets)
                        if came > self.after and self.cut < self.cuts:
                            self.cut += 1
                            return


class World:
    """An image repository, a director that serves it, and who may speak with it."""

    def __init__(self, binary, home):
        self.binary, self.home, self.started = binary, home, []
        (home / "pass").write_text("a passphrase")
        self.openssl("genpkey -algorithm ed25519 -out maker.pem")
        self.key("ca")
        self.openssl("req -x509 -new -key ca.key -subj /CN=ca -days 9 -out ca.pem -addext basicConstraints=critical,CA:TRUE "
                     "-addext keyUsage=critical,keyCertSign,cRLSign")
        # Who signs updates for swupdate: Debian's takes no others.
        self.key("author")
        self.openssl("req -x509 -new -key author.key -subj /CN=author -days 9 -out author.pem -addext "
                     "extendedKeyUsage=emailProtection")
        self.certify("server", "DNS:localhost", "serverAuth")
        self.cradle("repo", "--repository", "repository", "init", *self.maker())
        self.publish("first.swu", b"for nobody", 1)
        self.director("init", "--root-keys", "root-keys", "--images-root", "repository/metadata/1.root.json", "--root",
                      "director-root.json")
        self.director("type", "gateway", "--over", "ddi")
        self.port = None

    @staticmethod
    def maker():
        return ["--key", "root=maker.pem", "--key", "targets=maker.pem"]

    def openssl(self, line):
        done = subprocess.run(["openssl", *line.split()], cwd=self.home, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {line}: {done.stderr}")

    def key(self, name):
        self.openssl(f"genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key")
        (self.home / f"{name}.key").chmod(0o600)

    def certify(self, name, names, usage):
        self.key(name)
        (self.home / "extensions").write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        self.openssl(f"req -new -key {name}.key -subj /CN={name} -out {name}.csr")
        self.openssl(f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 5 -extfile extensions "
                     f"-out {name}.pem")

    def cradle(self, *words):
        done = subprocess.run([self.binary, "-o", "json", *map(str, words)], cwd=self.home, capture_output=True, text=True,
                              timeout=WITHIN_S, check=False)
        if done.returncode != 0:
            raise Disagrees(f"exit status {done.returncode} of {words}: {(done.stdout + done.stderr).strip()}")
        return json.loads(done.stdout) if done.stdout.strip().startswith(("{", "[")) else None

    def swu(self, slot, octets, digest=None):
        """A signed update of one image, which is written to a file; `digest` is what it says that the image is."""
        digest = digest or hashlib.sha256(octets).hexdigest()
        image = f'filename = "image.bin"; device = "{slot}"; type = "raw"; sha256 = "{digest}";'
        about = f'software = {{ version = "1.0"; hardware-compatibility: [ "1.0" ]; images: ( {{ {image} }} ); }}\n'
        (self.home / "sw-description").write_text(about)
        self.openssl("cms -sign -in sw-description -out sw-description.sig -signer author.pem -inkey author.key -outform DER "
                     "-nosmimecap -binary")
        signature = (self.home / "sw-description.sig").read_bytes()
        return cpio([("sw-description", about.encode()), ("sw-description.sig", signature), ("image.bin", octets)])

    def director(self, *words):
        return self.cradle("director", "--data", "director", "--passphrase-file", "pass", *words)

    def publish(self, name, octets, counter):
        (self.home / "image").write_bytes(octets)
        self.cradle("repo", "--repository", "repository", "add", "image", "--name", name, "--for", "modem.a", "--counter", counter)
        self.cradle("repo", "--repository", "repository", "publish", "--key", "maker.pem")

    def offer(self, name, octets, counter):
        self.publish(name, octets, counter)
        self.director("take", name, "--images", "repository")

    def serve(self):
        words = ["director", "--data", "director", "--passphrase-file", "pass", "serve", "--listen", "127.0.0.1:0", "--images",
                 "repository", "--ddi-poll", "1", "--tls-certificate", "server.pem", "--tls-key", "server.key",
                 "--device-anchors", "ca.pem"]
        process = subprocess.Popen([self.binary, "-o", "json", *words], cwd=self.home, stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        self.port = int(json.loads(process.stdout.readline())["url"].rsplit(":", 1)[1])

    def failures(self, device):
        return self.director("device", "show", device.urn)["ddi"]["failed"]

    def installed(self, device):
        return self.director("device", "show", device.urn)["ddi"]["installed"]

    def rollout(self, name):
        return next(one for one in self.director("status")["rollouts"] if one["name"] == name)

    def close(self):
        for process in self.started:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Device:
    """One that runs swupdate, and has one component: a file."""

    def __init__(self, world, serial):
        self.world, self.urn, self.home = world, f"urn:dev:ops:32473-gateway-{serial}", world.home / serial
        self.home.mkdir()
        self.slot, self.log = self.home / "slot", self.home / "log"
        self.slot.write_bytes(b"")
        world.certify(serial, f"URI:{self.urn}", "clientAuth")
        self.name = serial
        text = f'device = "{self.urn}"\nkey = "{serial}.pem"\n[components.modem]\nhardware_id = "modem.a"\nkey = "{serial}.pem"\n'
        (world.home / f"{serial}.toml").write_text(text)
        world.director("device", "add", f"{serial}.toml")
        self.process = None

    def start(self, *words, port=None, retry=30):
        """swupdate as its service would be, with all its files in a place of its own."""
        home = self.world.home
        (self.home / "cfg").write_text(
            f'globals : {{ verbose = true; }};\nsuricatta : {{ tenant = "default"; id = "{self.urn}"; url = "https://localhost:{port or self.world.port}"; '
            f'cafile = "{home}/ca.pem"; sslcert = "{home}/{self.name}.pem"; sslkey = "{home}/{self.name}.key"; '
            f'retry = {retry}; retrywait = 1; }};\n'
            'identify : ( { name = "board"; value = "of the rig"; } );\n')
        # Its sockets are beneath TMPDIR; how it is told to end is its own.
        with open(self.log, "ab") as log:
            command = ["swupdate", "-v", "-H", "board:1.0", "-k", f"{home}/author.pem", "-f", str(self.home / "cfg"), "-u", " ".join(["-e", *words])]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.home,
                                            start_new_session=True, env={"PATH": os.environ["PATH"], "TMPDIR": str(self.home)})
        self.world.started.append(self.process)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=20)

    def says(self, text):
        return text in self.log.read_text(errors="replace")


@case
def updated_and_said(w):
    w.serve()
    device = Device(w, "SN1")
    w.offer("os-2.swu", w.swu(device.slot, IMAGE), 2)
    w.director("assign", "os-2.swu", "--component", "modem", "--device", device.urn)
    device.start()
    until("the image", lambda: device.slot.read_bytes() == IMAGE)
    until("the end of the installation", lambda: device.says("Update successful"))
    device.stop()
    expect(w.installed(device), {}, "said before the device said so")
    # It was started anew, and has found itself well.
    device.start("-c", "2")
    until("the success", lambda: w.installed(device))
    expect(w.installed(device)["modem"]["image"], "os-2.swu", "what it says that it has")
    shown = w.director("status")
    expect((shown["ddi_types"], shown["ddi_devices"], shown["manifests"]), (["gateway"], 1, 0), "the status")


PLAN = """name = "spring"
image = "os-2.swu"
component = "modem"
device_type = "gateway"
success_percent = 95
failure_percent = 5
[[stages]]
audience = { percent = 100 }
answers = 10
"""


@case
def one_that_fails_halts_a_roll_out(w):
    w.serve()
    one, two = Device(w, "SN1"), Device(w, "SN2")
    w.offer("os-2.swu", w.swu(one.slot, IMAGE, digest="00" * 32), 2)
    (w.home / "plan.toml").write_text(PLAN)
    w.director("rollout", "start", "plan.toml")
    one.start()
    failed = until("the failure", lambda: w.failures(one))
    expect(failed["modem"]["image"], "os-2.swu", "what it says that it could not install")
    # What it said on the way is kept with how it ended, so it does not matter which of its threads complained last.
    for word in ("Hash not set for image.bin", "No suitable .swu image found"):
        if not any(word in line for line in failed["modem"]["details"]):
            raise Disagrees(f"it does not say {word}: {failed}")
    rolled = w.rollout("spring")
    expect([rolled[key] for key in ("state", "installed", "failed", "unsigned")], ["halted", 0, 1, 1], "the roll-out")
    # It is not offered again, and nobody else gets it.
    two.start()
    until("a device that is offered nothing", lambda: two.says("No pending action on server"))
    until("the device that failed", lambda: one.says("No pending action on server"))
    expect((w.failures(two), w.installed(two)), ({}, {}), "who was offered nothing")


@case
def a_line_that_is_cut_ten_times(w):
    w.serve()
    device, cutter = Device(w, "SN1"), Cutter(w.port, CUTS, 1 << 20)
    image = w.swu(device.slot, IMAGE)
    w.offer("os-2.swu", image, 2)
    w.director("assign", "os-2.swu", "--component", "modem", "--device", device.urn)
    device.start(port=cutter.at)
    until("the end of the installation", lambda: device.says("Update successful"))
    expect((cutter.cut, device.slot.read_bytes() == IMAGE), (CUTS, True), "cuts, and whether the image is whole")
    # What was under way when the line was cut comes twice, and not more.
    if cutter.carried > len(image) * 5 // 4:
        raise Disagrees(f"{cutter.carried} octets came for an image of {len(image)}: it began from zero")
    print(f"an image of {len(image)} octets, cut {CUTS} times, came with {cutter.carried} octets on the line")


@case
def control_it_gives_up_without_retries(w):
    """The line is cut in the image, and not in what comes before: with one retry, ten cuts are a failure, and are said."""
    w.serve()
    device, cutter = Device(w, "SN1"), Cutter(w.port, CUTS, 1 << 20)
    w.offer("os-2.swu", w.swu(device.slot, IMAGE), 2)
    w.director("assign", "os-2.swu", "--component", "modem", "--device", device.urn)
    device.start(port=cutter.at, retry=1)
    until("the failure", lambda: w.failures(device))
    expect(device.slot.read_bytes() == IMAGE, False, "whether the image is there")


@case
def recalled_while_it_comes(w):
    w.serve()
    device = Device(w, "SN1")
    w.offer("os-2.swu", w.swu(device.slot, IMAGE), 2)
    w.director("assign", "os-2.swu", "--component", "modem", "--device", device.urn)
    # So slowly that it asks in the middle whether that still holds.
    device.start("-n", "1M")
    until("the download", lambda: device.says(f"size {len(IMAGE)} required"))
    w.director("recall", "os-2.swu")
    until("the acknowledgement", lambda: device.says("Acknowledging cancelled update"))
    until("a device that is offered nothing", lambda: device.says("No pending action on server"))
    expect((w.failures(device), w.installed(device)), ({}, {}), "what it says")
    expect(device.slot.read_bytes() == IMAGE, False, "whether the image is there")


@case
def of_another_nothing_is_told(w):
    """With the certificate of one device, swupdate asks for another: it is not served, and nothing is said of either."""
    w.serve()
    one, two = Device(w, "SN1"), Device(w, "SN2")
    w.offer("os-2.swu", w.swu(one.slot, IMAGE), 2)
    w.director("assign", "os-2.swu", "--component", "modem", "--type", "gateway")
    one.urn, own = two.urn, one.urn
    one.start()
    until("the refusal", lambda: one.says("HTTP error code 404"))
    one.urn = own
    expect((w.failures(two), w.installed(two), w.installed(one)), ({}, {}, {}), "what was said")
    expect(one.slot.read_bytes(), b"", "what it was given")


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    binary, chosen = Path(sys.argv[1]).resolve(), sys.argv[2:] or list(CASES)
    failed = 0
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="cradle-swupdate-") as home:
            world = World(binary, Path(home))
            try:
                CASES[name](world)
            except Disagrees as disagrees:
                failed += 1
                print(f"FAILED {name}: {disagrees}")
                for log in Path(home).glob("*/log"):
                    print(log.read_text(errors="replace")[-4000:])
            finally:
                world.close()
    print(f"{len(chosen)} cases of swupdate, {failed} not as expected")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
