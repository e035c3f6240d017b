#!/usr/bin/env python3
"""A TPM as software (swtpm), with Debian's tools for it: keys in it, and what it says of them for `device-attest-01`.

    rigs/clients/tpm.py ROOM DIGEST OBJECT     what the TPM in ROOM says of its key for the octets in DIGEST, into OBJECT
"""
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

ATTESTATION_KEY, KEY = 0x81010001, 0x81010002
ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def der(tag, *parts):
    inner = b"".join(parts)
    length = bytes([len(inner)]) if len(inner) < 0x80 else bytes([0x81, len(inner)])
    return bytes([tag]) + length + inner


def cbor(major, octets):
    length = len(octets)
    head = bytes([major << 5 | length]) if length < 24 else bytes([major << 5 | 24, length]) if length < 256 else \
        bytes([major << 5 | 25]) + struct.pack(">H", length)
    return head + octets


class Tpm:
    def __init__(self, room):
        self.room = Path(room)

    def run(self, tool, *words):
        environment = {**os.environ, "TPM2TOOLS_TCTI": "swtpm:path=tpm.sock"}
        done = subprocess.run([f"tpm2_{tool}", *words], cwd=self.room, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"tpm2_{tool}: {done.stderr}")
        subprocess.run(["tpm2_flushcontext", "-t"], cwd=self.room, env=environment, capture_output=True, check=False)

    def begin(self):
        """Starts it, with an attestation key and another one in it; gives the process."""
        (self.room / "tpm").mkdir()
        process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", "dir=tpm", "--server", "type=unixio,path=tpm.sock",
             "--ctrl", "type=unixio,path=tpm.sock.ctrl", "--flags", "not-need-init,startup-clear"],
            cwd=self.room, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (self.room / "tpm.sock").exists():
            if process.poll() is not None:
                raise OSError("swtpm ended")
            time.sleep(0.01)
        self.run("createek", "-c", "ek.ctx", "-G", "ecc", "-u", "ek.pub")
        self.run("createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", "ak.pub.pem", "-f", "pem")
        self.run("evictcontrol", "-C", "o", "-c", "ak.ctx", hex(ATTESTATION_KEY))
        self.run("createprimary", "-C", "o", "-G", "ecc", "-c", "primary.ctx")
        self.run("create", "-C", "primary.ctx", "-G", "ecc256:ecdsa", "-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign",
                 "-u", "key.pub", "-r", "key.priv", "-c", "key.ctx")
        self.run("evictcontrol", "-C", "o", "-c", "key.ctx", hex(KEY))
        self.run("readpublic", "-c", "key.ctx", "-f", "der", "-o", "key.der")
        self.run("readpublic", "-c", "key.ctx", "-f", "tss", "-o", "key.tss")
        return process

    def request(self, file):
        """A PKCS #10 request for its key, without a name, in DER."""
        info = der(0x30, der(2, b"\0"), der(0x30), (self.room / "key.der").read_bytes(), der(0xa0))
        (self.room / "info").write_bytes(info)
        self.run("sign", "-c", "key.ctx", "-g", "sha256", "-s", "ecdsa", "-f", "plain", "-o", "signature", "info")
        signature = (self.room / "signature").read_bytes()
        (self.room / file).write_bytes(der(0x30, info, ECDSA_WITH_SHA256, der(3, b"\0", signature)))

    def attest(self, data):
        """An attestation object. `TPM2_Certify` by hand: the tools have it without data of one's own."""
        password = struct.pack(">IHBH", 0x40000009, 0, 0, 0)
        rest = struct.pack(">III", 0x148, KEY, ATTESTATION_KEY) + struct.pack(">I", 18) + password * 2
        rest += struct.pack(">H", len(data)) + data + struct.pack(">H", 0x10)
        (self.room / "command").write_bytes(struct.pack(">HI", 0x8002, len(rest) + 6) + rest)
        self.run("send", "-o", "answer", "command")
        answer = (self.room / "answer").read_bytes()
        code, parameters, length = struct.unpack_from(">IIH", answer, 6)
        if code != 0:
            raise OSError(f"TPM2_Certify: {code:#x}")
        info, signature = answer[16:16 + length], answer[16 + length:14 + parameters]
        certificate = (self.room / "ak.der").read_bytes()
        text, octets = lambda word: cbor(3, word.encode()), lambda value: cbor(2, value)
        return b"\xa2" + text("fmt") + text("tpm") + text("attStmt") + b"\xa6" + text("ver") + text("2.0") + text("alg") + b"\x26" \
            + text("x5c") + b"\x81" + octets(certificate) + text("sig") + octets(signature) + text("certInfo") + octets(info) \
            + text("pubArea") + octets((self.room / "key.tss").read_bytes()[2:])


if __name__ == "__main__":
    _, room, digest, out = sys.argv
    Path(out).write_bytes(Tpm(room).attest(Path(digest).read_bytes()))
