#!/usr/bin/env python3
"""Makes octets of the algorithms that Debian 12's OpenSSL does not write, with Python `cryptography`.

usage: testdata/make/algorithms.py FOLDER      writes below FOLDER (testdata), one set of files for each algorithm
       testdata/make/algorithms.py --check FOLDER   verifies what crates/x509/examples/algorithms.rs wrote there

A set is a self-signed root, a request, a list with one entry, and for ML-DSA the private key in its seed form.
"""
import datetime
import pathlib
import sys

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.x509.oid import NameOID

MAKER = f"python-cryptography-{cryptography.__version__}"
FROM = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
UNTIL = datetime.datetime(2046, 1, 1, tzinfo=datetime.timezone.utc)
DER = serialization.Encoding.DER


def pss(algorithm):
    return padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)


def sets():
    """Folder, name, key, hash, padding."""
    for level, kind in (44, mldsa.MLDSA44PrivateKey), (65, mldsa.MLDSA65PrivateKey), (87, mldsa.MLDSA87PrivateKey):
        yield "rfc9881", f"ml-dsa-{level}", kind.generate(), None, None
    yield "rfc5480", "p521", ec.generate_private_key(ec.SECP521R1()), hashes.SHA512(), None
    for bits in 2048, 4096:
        yield "rfc8017", f"rsa{bits}", rsa.generate_private_key(65537, bits), hashes.SHA256(), None
    key = rsa.generate_private_key(65537, 2056)
    yield "rfc8017", "rsa2056", key, hashes.SHA256(), None
    for algorithm in hashes.SHA256(), hashes.SHA384(), hashes.SHA512():
        key = rsa.generate_private_key(65537, 2048)
        yield "rfc4055", f"pss-{algorithm.name}", key, algorithm, pss(algorithm)
    # Not ours: a salt that is shorter than the hash.
    yield "rfc4055", "pss-short-salt", key, hashes.SHA256(), padding.PSS(padding.MGF1(hashes.SHA256()), 20)


def make(root, folder, name, key, algorithm, pad):
    extra = {"rsa_padding": pad} if pad else {}
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} root")])
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(0x1122).not_valid_before(FROM).not_valid_after(UNTIL)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, algorithm, **extra)
    )
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(subject)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("sensor.example")]), False)
        .sign(key, algorithm, **extra)
    )
    revoked = x509.RevokedCertificateBuilder().serial_number(0x33).revocation_date(FROM).build()
    crl = (
        x509.CertificateRevocationListBuilder().issuer_name(subject).last_update(FROM).next_update(UNTIL)
        .add_extension(x509.CRLNumber(7), False).add_revoked_certificate(revoked)
        .sign(key, algorithm, **extra)
    )
    folder = root / folder
    folder.mkdir(exist_ok=True)
    for what, made in ("root", certificate), ("csr", request), ("crl", crl):
        (folder / f"{MAKER}-{name}-{what}.der").write_bytes(made.public_bytes(DER))
    if algorithm is None:
        pkcs8 = key.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{MAKER}-{name}-key.der").write_bytes(pkcs8)


def check(root):
    """Verifies our certificates, requests and lists; returns how many."""
    seen = 0
    for path in sorted(root.glob("rfc*/cradle-*-root.der")):
        certificate = x509.load_der_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(certificate)
        request = x509.load_der_x509_csr(path.with_name(path.name.replace("-root", "-csr")).read_bytes())
        crl = x509.load_der_x509_crl(path.with_name(path.name.replace("-root", "-crl")).read_bytes())
        if not request.is_signature_valid or not crl.is_signature_valid(certificate.public_key()):
            sys.exit(f"{path.name}: the request or the list does not verify")
        if [entry.serial_number for entry in crl] != [0x33]:
            sys.exit(f"{path.name}: the list says something else")
        seen += 1
    return seen


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--check", folder]:
            count = check(pathlib.Path(folder))
            print(f"{count} sets of ours verify with {MAKER}")
            sys.exit(0 if count else 1)
        case [folder]:
            for one in sets():
                make(pathlib.Path(folder), *one)
        case _:
            sys.exit(__doc__)
