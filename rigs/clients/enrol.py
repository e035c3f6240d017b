#!/usr/bin/env python3
"""Has clients that others wrote enrol at a box of ours: usg-est-client over EST, instant-acme over ACME, also for a key in a TPM.

    rigs/clients/enrol.py CLIENTS CRADLE     CLIENTS: what is built of src; CRADLE: the program

The authorities, attributes, a first certificate for a one-time secret, another one in its place, a key that the server makes; and the whole
life of an account, with the time to renew by RFC 9773. OpenSSL says whether what came is what was asked for. Controls: a secret
that was used, a certificate that was revoked, and a TPM for which nobody vouches, get nothing.
Exit status: 0 all is well; 1 something is not, and is named; 2 the rig could not do its work. Needs: openssl, swtpm, tpm2-tools.
"""
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from installation import Cradle, Failed, environment  # noqa: E402
from loopback import free_port  # noqa: E402
from tpm import Tpm  # noqa: E402

NAME = "www.sn000004.internal"
# A profile for devices that serve TLS under names of their own.
SERVER = """
description = "A device that serves TLS."
subject_kind = "device"
issuers = ["factory"]
key_types = ["p256"]
ra_verified = false
subject = [{ type = "O", value = "{organization}" }, { type = "serialNumber", value = "{serial}" }]
subject_alt_name = [{ uri = "{urn}" }, { request = { kind = "dns", ends_with = [".{serial}.internal"], count_max = 4 } }]
[validity]
lifetime_s = 7_776_000
backdate_s = 300
issuer_expiry = "shorten"
[extensions]
key_usage = ["digital-signature"]
extended_key_usage = ["server-auth", "client-auth"]
"""

# A profile for devices that have their keys in a TPM.
ATTESTED = SERVER.replace("serves TLS", "has its key in a TPM").split("subject_alt_name")[0] + """\
subject_alt_name = [{ permanent_identifier = "{serial}" }]
""" + SERVER[SERVER.index("[validity]"):]


class Disagrees(Exception):
    """Something is not as expected."""


def resolver():
    """Answers each question for an address with that of this machine. Gives its port."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))

    def answer():
        while True:
            asked, who = s.recvfrom(512)
            end = asked.index(b"\0", 12) + 5
            is_a = asked[end - 4:end] == b"\0\1\0\1"
            head = asked[:2] + struct.pack(">HHHHH", 0x8180, 1, int(is_a), 0, 0)
            row = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
            s.sendto(head + asked[12:end] + (row if is_a else b""), who)
    threading.Thread(target=answer, daemon=True).start()
    return s.getsockname()[1]


class Box:
    """A box whose gateway is open, with devices SN000001 to SN000005."""

    def __init__(self, clients, binary, room):
        self.clients, self.room, self.cradle = clients, room, Cradle(binary, room / "data")
        self.proof_port = free_port()
        self.cradle.must("init", "--yes")
        data = self.cradle.data
        profile = data / "profiles" / "gateway.toml"
        profile.write_text(profile.read_text().replace("subject_alt_name = [", 'subject_alt_name = [{ dns = "localhost" }, ', 1))
        (data / "profiles" / "server.toml").write_text(SERVER)
        (data / "profiles" / "attested.toml").write_text(ATTESTED)
        for name in ("maker", "stranger"):
            self.openssl(f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout {name}.key -out {name}.pem"
                         f" -subj /CN={name} -addext keyUsage=critical,keyCertSign")
        (data / "device-types").mkdir(exist_ok=True)
        settings = data / "cradle.toml"
        settings.write_text(settings.read_text() + f"""
[gateway]
https = "127.0.0.1:0"
http = "127.0.0.1:0"
names = ["cm.internal", "localhost"]
[gateway.est.devices]
profile = "ldevid"
[gateway.est.keys]
profile = "ldevid"
server_keys = true
[gateway.acme.servers]
profile = "server"
[gateway.acme.tpms]
profile = "attested"
attestation_roots = "{room / "maker.pem"}"
[gateway.validation]
resolver = "127.0.0.1:{resolver()}"
http_port = {self.proof_port}
allowed_networks = ["127.0.0.0/8"]
""")
        (data / "device-types" / "sensor.toml").write_text('description = "sensors"\nprofile = "idevid"\nkey_type = "p256"\n')
        profiles = {4: "server", 5: "attested"}
        lines = [f"SN00000{n},sensor,{profiles.get(n, 'ldevid')}" for n in range(1, 6)]
        (room / "devices.csv").write_text("\n".join(["serial,type,profile", *lines]) + "\n")
        self.cradle.must("list", "import", room / "devices.csv")
        self.cradle.must("mode", "set", "certificate-management")
        self.cradle.must("module", "add", "gateway")
        chain = self.cradle.must("ca", "chain", "factory")
        (room / "chain.pem").write_text(chain)
        (room / "root.pem").write_text(chain[chain.rindex("-----BEGIN"):])
        self.process = None

    def up(self):
        with open(self.room / "err", "ab") as err:
            self.process = subprocess.Popen(self.cradle.argv("up", "-o", "json"), stdout=subprocess.PIPE, env=environment(),
                                            stderr=err, text=True, cwd=self.room)
        line = self.process.stdout.readline()
        if not line:
            raise Disagrees(f"the box did not come up: {(self.room / 'err').read_text()[-500:]}")
        said = json.loads(line)
        self.url = f"https://localhost:{said['https'].rsplit(':', 1)[1]}"

    def down(self):
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=60) != 0:
            raise Disagrees(f"the box ended with {process.returncode}: {(self.room / 'err').read_text()[-500:]}")

    def secret(self, serial):
        said = json.loads(self.cradle.must("-o", "json", "device", "allow", serial, "--secret"))
        (self.room / f"{serial}.secret").write_text(said["secret"])
        (self.room / f"{serial}.eab").write_text(said["eab_hmac_key"])

    def openssl(self, line, *more):
        done = subprocess.run(["openssl", *line.split(), *more], cwd=self.room, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Disagrees(f"openssl {line}: {done.stderr}")
        return done.stdout

    def request(self, name, subject, *more):
        self.openssl(f"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -outform DER -out {name}",
                     "-subj", subject, *more)

    def is_for(self, came, name):
        """Whether a certificate that came leads to the root, and is for the key of this name."""
        self.openssl(f"x509 -inform DER -in {came} -out {came}.pem")
        self.openssl(f"verify -x509_strict -CAfile chain.pem {came}.pem")
        if self.openssl(f"x509 -in {came}.pem -noout -pubkey") != self.openssl(f"pkey -in {name}.key -pubout"):
            raise Disagrees(f"{came} is not for the key of {name}")

    def serial(self, file):
        return self.openssl(f"x509 -in {file} -noout -serial").strip().removeprefix("serial=").lower()

    def ask(self, *words, well=True):
        done = subprocess.run([self.clients, *words], cwd=self.room, capture_output=True, text=True, check=False, timeout=120)
        if (done.returncode == 0) != well:
            raise Disagrees(f"{' '.join(words)}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip() if well else done.stderr.strip()

    def est(self, label, *words, well=True):
        return self.ask("est", self.url, label, "root.pem", *words, well=well)


def est(box):
    """usg-est-client: everything that RFC 7030 has and we have."""
    for serial in ("SN000001", "SN000002", "SN000003"):
        box.secret(serial)
    box.up()
    box.request("first", "/")
    said = box.est("devices", "cacerts", "authorities")
    if said != "2 authorities":
        raise Disagrees(f"cacerts: {said}")
    box.openssl("x509 -inform DER -in authorities.1 -noout")
    attributes = box.est("devices", "csrattrs", "none")
    box.est("devices", "simpleenroll", "first", "user", "SN000001", "SN000001.secret")
    box.is_for("first.1", "first")
    # The same name with another key.
    subject = box.openssl("x509 -in first.1.pem -noout -subject -nameopt compat").strip().removeprefix("subject=")
    box.request("second", subject)
    box.est("devices", "simplereenroll", "second", "certificate", "first.1.pem", "first.key")
    box.is_for("second.1", "second")
    said = box.est("keys", "serverkeygen", "third", "user", "SN000003", "SN000003.secret", well=False)
    box.request("third", "/")
    box.est("keys", "serverkeygen", "third", "user", "SN000003", "SN000003.secret")
    box.openssl("pkey -inform DER -in third.2 -out third.key")
    box.is_for("third.1", "third")
    # Controls.
    used = box.est("devices", "simpleenroll", "first", "user", "SN000001", "SN000001.secret", well=False)
    box.down()
    box.cradle.must("cert", "revoke", "--yes", "--reason", "key-compromise", box.serial("second.1.pem"))
    box.up()
    revoked = box.est("devices", "simplereenroll", "second", "certificate", "second.1.pem", "second.key", well=False)
    box.down()
    return f"attributes {attributes}; a used secret: {used}; a revoked certificate: {revoked}"


def acme(box):
    """instant-acme: an account from its first day to its last."""
    box.secret("SN000004")
    box.request("site", "/", "-addext", f"subjectAltName=DNS:{NAME}")
    box.up()
    directory = f"{box.url}/acme/servers/directory"
    begun = time.time()
    said = box.ask("acme", directory, "root.pem", "SN000004", "SN000004.eab", "site", NAME, str(box.proof_port))
    start, end, again = map(int, said.split())
    if not begun < start < end < begun + 7_776_000 or again < 1:
        raise Disagrees(f"to be renewed from {start} to {end}, asked again after {again} s")
    for came in ("site.1", "site.2"):
        box.is_for(came, "site")
    # A control: the secret has its account.
    used = box.ask("acme", directory, "root.pem", "SN000004", "SN000004.eab", "site", NAME, str(box.proof_port), well=False)
    box.down()
    revoked = {row["serial"]: row["revoked_at"] is not None
               for row in json.loads(box.cradle.must("-o", "json", "cert", "list", "--profile", "server"))}
    if revoked != {box.serial("site.1.pem"): True, box.serial("site.2.pem"): False}:
        raise Disagrees(f"revoked: {revoked}")
    return f"to be renewed after {(start - begun) / 86400:.0f} to {(end - begun) / 86400:.0f} days; a used secret: {used}"


def attest(box):
    """instant-acme: a certificate for a key that swtpm has, and says so."""
    box.secret("SN000005")
    tpm = Tpm(box.room)
    process = tpm.begin()
    try:
        tpm.request("attested")
        extensions = box.room / "ak.ext"
        extensions.write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=2.23.133.8.3\n")
        tool = str(Path(__file__).resolve().parent / "tpm.py")
        box.up()
        said = {}
        for voucher in ("stranger", "maker"):
            box.openssl(f"x509 -new -CA {voucher}.pem -CAkey {voucher}.key -force_pubkey ak.pub.pem -subj /CN=AK -days 9 -extfile ak.ext"
                        " -outform DER -out ak.der")
            said[voucher] = box.ask("attest", f"{box.url}/acme/tpms/directory", "root.pem", "SN000005", "SN000005.eab", "attested",
                                    "SN000005", tool, str(box.room), well=voucher == "maker")
            if voucher == "stranger":
                # The secret has its account; there is another for the next one.
                box.down()
                box.secret("SN000005")
                box.up()
        box.down()
    finally:
        process.kill()
    box.openssl("x509 -inform DER -in attested.1 -out attested.1.pem")
    box.openssl("verify -x509_strict -CAfile chain.pem attested.1.pem")
    own = box.openssl("pkey -pubin -inform DER -in key.der -pubout")
    if box.openssl("x509 -in attested.1.pem -noout -pubkey") != own:
        raise Disagrees("the certificate is for another key than the one in the TPM")
    return f"nobody vouches: {said['stranger']}"


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    clients, cradle = (str(Path(word).resolve()) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="cradle-clients-") as room:
        box = Box(clients, cradle, Path(room))
        try:
            for case in (est, acme, attest):
                print(f"{case.__name__}: ok: {case(box)}")
            box.cradle.must("verify", "--deep")
        except (Disagrees, Failed) as why:
            print(f"NOT as expected: {why}")
            if found := re.search("Identifier: ([0-9a-f]{32})", str(why)):
                box.down()
                print(box.cradle.must("explain", found[1]))
            return 1
        finally:
            if box.process is not None:
                box.process.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
