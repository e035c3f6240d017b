"""Makes installations for the rigs: two device types, one whose boards make requests and one whose boards only show a
public key; their boards, a release that it follows, everything up to the moment before `cradle station run`.

Library; needs python cryptography.
"""
import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

# Name, how its boards show their keys, what stands before the number on their labels.
TYPES = (("sensor", "csr", "CSR"), ("meter", "public-key", "PUB"))
IMAGE_LEN = 20_000
# A command that waits for something that never comes must not stop the rig.
COMMAND_MAX_S = 120


class Failed(Exception):
    """A command did not do what it was asked to."""


class Cradle:
    """The program, on one data directory."""

    def __init__(self, binary, data):
        self.binary, self.data = str(binary), Path(data).resolve()

    def argv(self, *arguments):
        return [self.binary, "--data", str(self.data), *map(str, arguments)]

    def run(self, *arguments):
        return subprocess.run(self.argv(*arguments), capture_output=True, text=True, env=environment(),
                              cwd=self.data.parent, stdin=subprocess.DEVNULL, timeout=COMMAND_MAX_S)

    def must(self, *arguments):
        done = self.run(*arguments)
        if done.returncode != 0:
            raise Failed(f"cradle {' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def environment():
    """Ours, without what would change what the program does."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CRADLE_")}


def prepare(binary, data, boards, tray_len, faults=()):
    """Makes the installation `data`, with so many boards of each type, of which some have faults. Gives its program."""
    cradle = Cradle(binary, data)
    data = cradle.data
    cradle.must("init", "--yes")
    cheapen_keys(data)
    settings = data / "cradle.toml"
    settings.write_text(replace_once(settings.read_text(), "tray_len = 64", f"tray_len = {tray_len}"))
    lines = ["serial,type"]
    for name, offer, prefix in TYPES:
        (data / "device-types" / f"{name}.toml").write_text(device_type(name, offer, prefix, boards, faults))
        lines += [f"{prefix}{n:06},{name}" for n in range(1, boards + 1)]
    beside = data.parent / f"{data.name}-made"
    beside.mkdir()
    (beside / "devices.csv").write_text("\n".join(lines) + "\n")
    cradle.must("list", "import", beside / "devices.csv")
    cradle.must("mode", "set", "certificate-management")
    for name, offer, _ in TYPES:
        if offer == "public-key":
            cradle.must("station", "entitle", name, "--quota", boards)
    import_release(cradle, beside)
    cradle.must("mode", "set", "provision")
    return cradle


def device_type(name, offer, prefix, boards, faults):
    text = f"""description = "boards of a rig"
profile = "idevid"
key_type = "p256"

[flasher]
adapter = "simulated"
device_type = "{name}"
count = {boards}
serial_prefix = "{prefix}"
board_prefix = "{prefix}-"
directory = "../boards"
key_offer = "{offer}"
"""
    for fault in faults:
        text += "\n[[flasher.faults]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fault.items())
    return text


def import_release(cradle, beside):
    """Has a maker publish a release for both types, and the installation follow that."""
    image, repository = beside / "app.bin", beside / "repository"
    image.write_bytes(hashlib.shake_256(b"image").digest(IMAGE_LEN))
    kinds = [part for name, _, _ in TYPES for part in ("--for", name)]
    cradle.must("repo", "--repository", repository, "init")
    cradle.must("repo", "--repository", repository, "add", image, "--version", "1", "--counter", "1", *kinds)
    cradle.must("repo", "--repository", repository, "publish")
    cradle.must("release", "follow", "--images", repository / "metadata" / "1.root.json")
    cradle.must("mode", "set", "software-import")
    cradle.must("release", "import", repository)


def replace_once(text, old, new):
    if text.count(old) != 1:
        raise Failed(f"{old!r} does not stand once in the settings")
    return text.replace(old, new)


# ---- Keys that open quickly ----
#
# Opening a key costs 30 ms of scrypt, and a run opens nine: three quarters of its time. The rigs do not test the
# passphrase, so they encrypt the same keys again with scrypt's least cost. The program opens them as any others.

# OIDs in DER: PBES2, scrypt, AES-256-CBC. Source: RFC 8018 appendix A.4, RFC 7914 §7, RFC 8018 appendix B.2.5.
PBES2, SCRYPT, AES = map(bytes.fromhex, ("06092a864886f70d01050d", "06092b06010401da47040b", "060960864801650304012a"))


def cheapen_keys(data):
    passphrase = (data / "secrets" / "passphrase").read_bytes().strip()
    for path in (data / "keys").glob("*.p8"):
        octets = encrypt(decrypt(path.read_bytes(), passphrase), passphrase)
        path.write_bytes(octets)  # Its mode stays.


def decrypt(text, passphrase):
    """The PKCS #8 octets of an `ENCRYPTED PRIVATE KEY`. Source: RFC 5958 §3, RFC 8018 §6.2, RFC 7914 §7."""
    ((_, document),) = read(unpem(text))
    (_, algorithm), (_, secret) = read(document)
    (_, pbes2), (_, parameters) = read(algorithm)
    if tlv(6, pbes2) != PBES2:
        raise Failed("a key is not encrypted by PBES2")
    (_, kdf), (_, cipher) = read(parameters)
    (_, costs), (_, iv) = read(kdf)[1], read(cipher)[1]
    (_, salt), *numbers = read(costs)
    n, r, p = (int.from_bytes(octets, "big") for _, octets in numbers[:3])
    padded = aes(key_of(passphrase, salt, n, r, p), iv).decryptor().update(secret)
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(padded) + unpadder.finalize()


def encrypt(pkcs8, passphrase):
    salt, iv, (n, r, p) = os.urandom(16), os.urandom(16), (2, 8, 1)
    padder = padding.PKCS7(128).padder()
    padded = padder.update(pkcs8) + padder.finalize()
    secret = aes(key_of(passphrase, salt, n, r, p), iv).encryptor().update(padded)
    costs = tlv(0x30, tlv(4, salt), *(tlv(2, bytes([number])) for number in (n, r, p)))
    kdf, cipher = tlv(0x30, SCRYPT, costs), tlv(0x30, AES, tlv(4, iv))
    return pem(tlv(0x30, tlv(0x30, PBES2, tlv(0x30, kdf, cipher)), tlv(4, secret)))


def key_of(passphrase, salt, n, r, p):
    return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, dklen=32, maxmem=1 << 30)


def aes(key, iv):
    return Cipher(algorithms.AES(key), modes.CBC(iv))


def tlv(tag, *parts):
    octets = b"".join(parts)
    length = bytes([len(octets)])
    if len(octets) > 127:
        size = (len(octets).bit_length() + 7) // 8
        length = bytes([0x80 | size]) + len(octets).to_bytes(size, "big")
    return bytes([tag]) + length + octets


def read(octets):
    """The elements that stand one after another: tag and contents."""
    elements, at = [], 0
    while at < len(octets):
        tag, length, at = octets[at], octets[at + 1], at + 2
        if length > 127:
            size = length & 127
            length, at = int.from_bytes(octets[at:at + size], "big"), at + size
        elements.append((tag, octets[at:at + length]))
        at += length
    return elements


LABEL = b"ENCRYPTED PRIVATE KEY"


def unpem(text):
    return base64.b64decode(b"".join(text.strip().splitlines()[1:-1]))


def pem(der):
    text = base64.b64encode(der)
    lines = [text[at:at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN " + LABEL + b"-----", *lines, b"-----END " + LABEL + b"-----", b""])
