"""Certificates of developers: one authority, and who signs below it. Makes them anew; private keys stay in the directory
that is named, which is thrown away."""

import datetime
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

out, keys = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def day(text):
    return datetime.datetime.fromisoformat(text)


def name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def certificate(file, common_name, key, issuer, issuer_key, ca=False, purpose=None, end="2046-01-01", usage=True):
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(day("2026-01-01"))
        .not_valid_after(day(end))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(usage and not ca, False, not usage, False, False, ca, ca, False, False),
            critical=True,
        )
    )
    if purpose:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    made = builder.sign(issuer_key, hashes.SHA256())
    (out / f"{file}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (keys / f"{file}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


p256 = lambda: ec.generate_private_key(ec.SECP256R1())
root, other, below = p256(), p256(), p256()
signing = ExtendedKeyUsageOID.CODE_SIGNING
certificate("ca", "Developers", root, "Developers", root, ca=True)
certificate("other-ca", "Others", other, "Others", other, ca=True)
certificate("below", "Developers of one house", below, "Developers", root, ca=True)
certificate("p256", "Alice", p256(), "Developers", root, purpose=signing)
certificate("p384", "Carol", ec.generate_private_key(ec.SECP384R1()), "Developers", root, purpose=signing)
certificate("rsa", "Bob", rsa.generate_private_key(65537, 2048), "Developers of one house", below, purpose=signing)
certificate("expired", "Dora", p256(), "Developers", root, purpose=signing, end="2026-02-01")
certificate("server", "server", p256(), "Developers", root, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
certificate("cipher", "Erin", p256(), "Developers", root, purpose=signing, usage=False)
certificate("plain", "Peggy", p256(), "Developers", root)
certificate("stranger", "Alice", p256(), "Others", other, purpose=signing)

# Alice is revoked.
alice = x509.load_pem_x509_certificate((out / "p256.pem").read_bytes())
revoked = x509.RevokedCertificateBuilder().serial_number(alice.serial_number).revocation_date(day("2026-02-01")).build()
crl = (
    x509.CertificateRevocationListBuilder()
    .issuer_name(name("Developers"))
    .last_update(day("2026-02-01"))
    .next_update(day("2046-01-01"))
    .add_extension(x509.CRLNumber(1), critical=False)
    .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
    .add_revoked_certificate(revoked)
    .sign(root, hashes.SHA256())
)
(out / "revoked.crl").write_bytes(crl.public_bytes(serialization.Encoding.PEM))
