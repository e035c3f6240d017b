"""Makes OCSP requests and responses with python cryptography: python ocsp_by_cryptography.py DIRECTORY"""
import datetime
import pathlib
import sys

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

directory = pathlib.Path(sys.argv[1])
UTC = datetime.UTC
START, END = datetime.datetime(2026, 1, 1, tzinfo=UTC), datetime.datetime(2099, 1, 1, tzinfo=UTC)


def put(what, octets):
    (directory / f"cryptography-{cryptography.__version__}-{what}.der").write_bytes(octets)


def certificate(subject, key, issuer, issuer_key, serial, digest, *extensions):
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
               .serial_number(serial).not_valid_before(START).not_valid_after(END))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, digest)


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


ca_key, responder_key = ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()
constraints = (x509.BasicConstraints(ca=True, path_length=None), True)
ca = certificate(named("Issuer"), ca_key, named("Issuer"), ca_key, 1, hashes.SHA384(), constraints)
leaf = certificate(named("Leaf"), ec.generate_private_key(ec.SECP256R1()), named("Issuer"), ca_key, 0x1122, hashes.SHA384())
signing, no_check = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), x509.OCSPNoCheck()
responder = certificate(named("Responder"), responder_key, named("Issuer"), ca_key, 2, hashes.SHA384(),
                        (signing, False), (no_check, False))
put("issuer", ca.public_bytes(Encoding.DER))
put("leaf", leaf.public_bytes(Encoding.DER))

NONCE = bytes(range(32))
for name, digest in ("sha1", hashes.SHA1()), ("sha256", hashes.SHA256()), ("sha384", hashes.SHA384()), ("sha512", hashes.SHA512()):
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, ca, digest)
    put(f"request-{name}", builder.build().public_bytes(Encoding.DER))
    put(f"request-{name}-nonce", builder.add_extension(x509.OCSPNonce(NONCE), False).build().public_bytes(Encoding.DER))
critical = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, ca, hashes.SHA1())
put("request-critical", builder.add_extension(critical, True).build().public_bytes(Encoding.DER))
put("request-unknown-extension", builder.add_extension(critical, False).build().public_bytes(Encoding.DER))
put("request-nonce-128", builder.add_extension(x509.OCSPNonce(bytes(128)), False).build().public_bytes(Encoding.DER))
put("request-nonce-129", builder.add_extension(x509.OCSPNonce(bytes(129)), False).build().public_bytes(Encoding.DER))
put("request-nonce-empty", builder.add_extension(x509.OCSPNonce(b""), False).build().public_bytes(Encoding.DER))

Status, Encode = ocsp.OCSPCertStatus, ocsp.OCSPResponderEncoding
NOW, NEXT = datetime.datetime(2026, 6, 1, 12, tzinfo=UTC), datetime.datetime(2098, 6, 1, 12, tzinfo=UTC)


def response(name, status, at=None, reason=None, by=Encode.HASH, nonce=None, delegated=True, digest=hashes.SHA1()):
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf, issuer=ca, algorithm=digest, cert_status=status, this_update=NOW, next_update=NEXT,
        revocation_time=at, revocation_reason=reason).responder_id(by, responder if delegated else ca)
    if delegated:
        builder = builder.certificates([responder])
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    signed = builder.sign(responder_key, None) if delegated else builder.sign(ca_key, hashes.SHA384())
    put(f"response-{name}", signed.public_bytes(Encoding.DER))


response("good-nonce", Status.GOOD, nonce=NONCE)
response("good-by-issuer", Status.GOOD, by=Encode.NAME, delegated=False, digest=hashes.SHA256())
response("unknown", Status.UNKNOWN, by=Encode.NAME)
for reason in x509.ReasonFlags:
    response(f"revoked-{reason.name.replace('_', '-')}", Status.REVOKED, START, reason)
response("revoked", Status.REVOKED, START)
for status in ocsp.OCSPResponseStatus:
    if status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        unsuccessful = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
        put(f"response-{status.name.lower().replace('_', '-')}", unsuccessful.public_bytes(Encoding.DER))
