"""Makes blobs as the vault keeps them, after the description in the vault's own documentation, and reads one.

    python vault_blob.py                             writes testdata/vault/
    python vault_blob.py open BLOB PRIVATE-KEY-HEX   writes the image to standard output

Needs: python cryptography 50 or newer. The output is different each time, because HPKE is.
"""
import hashlib
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
CHUNK = 65536
# Whoever reads them: private keys 00 01 .. 1f and 20 21 .. 3f.
READERS = [X25519PrivateKey.from_private_bytes(bytes(range(n, n + 32))) for n in (0, 32)]


def nonce(number, last):
    return number.to_bytes(11, "big") + bytes([last])


def seal(image, name, readers, more=()):
    content_key = hashlib.sha256(name + image).digest()
    header = b"CRADLEV\x01" + bytes([len(readers)])
    info = header + name
    for reader in readers:
        header += HPKE.encrypt(content_key, reader.public_key(), info)
    chunks = [image[at : at + CHUNK] for at in range(0, len(image), CHUNK)] or [b""]
    chunks += more
    aad = hashlib.sha256(header + name).digest()
    last = len(chunks) - 1
    return header + b"".join(AESGCM(content_key).encrypt(nonce(n, n == last), c, aad) for n, c in enumerate(chunks))


def unseal(blob, name, private):
    assert blob[:8] == b"CRADLEV\x01"
    end = 9 + 80 * blob[8]
    header, sealed = blob[:end], blob[end:]
    for at in range(9, end, 80):
        try:
            content_key = HPKE.decrypt(header[at : at + 80], private, header[:9] + name)
            break
        except Exception:  # noqa: BLE001, S112  (sealed for another reader)
            continue
    aad = hashlib.sha256(header + name).digest()
    step = CHUNK + 16
    starts = range(0, len(sealed), step)
    return b"".join(
        AESGCM(content_key).decrypt(nonce(n, n == len(starts) - 1), sealed[at : at + step], aad) for n, at in enumerate(starts)
    )


if sys.argv[1:2] == ["open"]:
    blob = pathlib.Path(sys.argv[2])
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[3]))
    sys.stdout.buffer.write(unseal(blob.read_bytes(), bytes.fromhex(blob.name), private))
    sys.exit()
OUT = pathlib.Path(__file__).resolve().parent.parent / "vault"
OUT.mkdir(exist_ok=True)
for n, length in enumerate([0, 1, CHUNK, CHUNK + 1]):
    name = hashlib.sha256(b"golden blob" + bytes([n])).digest()[:16]
    (OUT / name.hex()).write_bytes(seal(bytes((k * k + 7 * k) % 251 for k in range(length)), name, READERS))
    print(name.hex(), length)
name = hashlib.sha256(b"golden blob, empty last chunk").digest()[:16]
(OUT / name.hex()).write_bytes(seal(bytes(CHUNK), name, READERS, more=[b""]))
print(name.hex(), "with an empty last chunk: must be refused")
