#!/usr/bin/env python3
"""Lets OpenSSL and python cryptography judge OCSP responses, and prints what each of them says.

    rigs/ocsp/check.py DIR       DIR: written by `cargo run -p wire --example ocsp_samples -- DIR`

Each response must be verified by `openssl ocsp` with nothing but the authority's certificate to trust, mean the same to both,
and be refused by OpenSSL under another authority and with one bit changed, or without the nonce, so that a rig that accepts everything is noticed.

Exit status: 0 all agree; 1 one does not, and is named; 2 there is nothing to judge.
Needs: openssl 3.0 or newer, python cryptography.
"""
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

NO_CHECK, SIGNING = x509.OCSPNoCheck.oid, x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING
EXTENDED = bytes.fromhex("06092b0601050507300109")  # id-pkix-ocsp-extended-revoke, as it lies in the octets


# Where somebody says it otherwise: (version of OpenSSL, case): (what it should say, what it says, why).
DIVERGENCES = {
    ("3.0.", "revoked-privilege-withdrawn"): ("revoked privilegeWithdrawn", "revoked (UNKNOWN)", "its table of reasons ended at 8"),
}
# Before 3.5 OpenSSL knows no ML-DSA: it must refuse what is signed so.
UNKNOWN_ALGORITHMS = {"3.0.": {"ml-dsa-65"}}
VERSION = subprocess.run(["openssl", "version"], capture_output=True, text=True, timeout=60, check=True).stdout.split()[1]


def divergence(name, expected):
    for (version, case), (should, says, _) in DIVERGENCES.items():
        if case == name and VERSION.startswith(version):
            assert should == expected
            return says
    return expected


def openssl(folder, case, authority, response):
    """What `openssl ocsp` says of a response: good, revoked or unknown with the reason, or why not."""
    digest = ["-sha256"] if case["hash"] == "Sha256" else []
    # The request that was answered says which nonce is expected; only one made here has its status printed.
    as_it_was = ["-reqin", folder / f"{case['case']}.request.der", "-no_nonce", "-issuer", authority]
    made_here = ["-no_nonce", *digest, "-issuer", authority, "-serial", f"0x{serial(folder):x}"]
    for asked in as_it_was, made_here:
        done = subprocess.run(["openssl", "ocsp", *asked, "-respin", response, "-CAfile", authority, "-no-CApath", "-no-CAstore"],
                              capture_output=True, text=True, timeout=60, check=False)
        said = done.stdout + done.stderr
        if done.returncode != 0 or "Response verify OK" not in said or "WARNING" in said or "ERROR" in said:
            return f"refused: {' '.join(said.split())[:160]}"
    status = next((w for w in ("good", "revoked", "unknown") if f": {w}" in said), "?")
    reason = next((line.split(": ")[1] for line in said.splitlines() if line.strip().startswith("Reason: ")), "")
    return f"{status} {reason}".strip()


def serial(folder):
    return x509.load_der_x509_certificate((folder / "leaf.der").read_bytes()).serial_number


def verify(key, response):
    octets, signature = response.tbs_response_bytes, response.signature
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, octets, padding.PKCS1v15(), response.signature_hash_algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, octets, ec.ECDSA(response.signature_hash_algorithm))
    else:  # Ed25519 and ML-DSA take the octets as they are
        key.verify(signature, octets)


def cryptography(folder, case, path):
    """What python cryptography says of it; the rules of RFC 6960 §3.2 that it leaves to its caller are applied here."""
    octets = path.read_bytes()
    response = ocsp.load_der_ocsp_response(octets)
    ca = x509.load_der_x509_certificate((folder / "ca.der").read_bytes())
    leaf = x509.load_der_x509_certificate((folder / "leaf.der").read_bytes())
    signer = response.certificates[0] if response.certificates else ca
    if signer is not ca:
        signer.verify_directly_issued_by(ca)
        purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if SIGNING not in purposes or not signer.extensions.get_extension_for_oid(NO_CHECK):
            return "refused: the responder's certificate"
    verify(signer.public_key(), response)
    digest = hashes.SHA256() if case["hash"] == "Sha256" else hashes.SHA1()
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, ca, digest).build()
    key_hash = x509.SubjectKeyIdentifier.from_public_key(signer.public_key()).digest
    now = datetime.datetime.now(datetime.UTC)
    nonce = [e.value.nonce for e in response.extensions if isinstance(e.value, x509.OCSPNonce)]
    agreed = {
        "certificate": (response.serial_number, response.issuer_key_hash, response.issuer_name_hash)
        == (asked.serial_number, asked.issuer_key_hash, asked.issuer_name_hash),
        "times": response.this_update_utc <= now < response.next_update_utc and response.produced_at_utc <= now,
        "responder": response.responder_name == signer.subject if case["by_name"] else response.responder_key_hash == key_hash,
        "nonce": nonce == ([bytes.fromhex(case["nonce"])] if case["nonce"] else []),
        "extended revoke": (EXTENDED in octets) == case["extended"],
        "delegate": (signer is not ca) == case["delegate"],
        "revoked at": response.certificate_status != ocsp.OCSPCertStatus.REVOKED
        or response.revocation_time_utc == datetime.datetime.fromtimestamp(case["revoked_at"], datetime.UTC),
    }
    wrong = [what for what, ok in agreed.items() if not ok]
    if wrong:
        return f"refused: {', '.join(wrong)}"
    reason = response.revocation_reason.value if response.revocation_reason else ""
    return f"{response.certificate_status.name.lower()} {reason}".strip()


def by_cryptography(folder, case, path):
    try:
        return cryptography(folder, case, path)
    except (InvalidSignature, ValueError, TypeError) as why:
        return f"refused: {type(why).__name__}"


def camel(reason):
    first, *rest = reason.split("-")
    # As X.509 spells them.
    text = first + "".join(word.capitalize() for word in rest)
    return {"unspecified": "", "caCompromise": "cACompromise"}.get(text, text)


def judge(folder, work, rows):
    authority = work / f"{folder.name}.pem"
    authority.write_bytes(x509.load_der_x509_certificate((folder / "ca.der").read_bytes()).public_bytes(Encoding.PEM))
    others = [f for f in work.glob("*.pem") if f != authority]
    for case in json.loads((folder / "cases.json").read_text()):
        path = folder / f"{case['case']}.response.der"
        expected = f"{case['status']} {camel(case['reason'])}".strip()
        by_openssl, said = divergence(case["case"], expected), openssl(folder, case, authority, path)
        if any(VERSION.startswith(v) and folder.name in kinds for v, kinds in UNKNOWN_ALGORITHMS.items()):
            by_openssl, said = "refused", said.split(":")[0]
        found = {"openssl": said, "cryptography": by_cryptography(folder, case, path)}
        # Control: what must not be believed.
        octets = bytearray(path.read_bytes())
        octets[octets.index(b"\x18\x0f") + 5] ^= 1  # a digit of producedAt
        changed = work / "changed.der"
        changed.write_bytes(octets)
        control = openssl(folder, case, authority, changed).startswith("refused") and all(
            openssl(folder, case, other, path).startswith("refused") for other in others[:1])
        if case["nonce"]:
            control = control and openssl(folder, case, authority, folder / "good.response.der").startswith("refused")
        control = control and by_cryptography(folder, case, changed).startswith("refused")
        ok = found == {"openssl": by_openssl, "cryptography": expected} and control
        rows.append((ok, folder.name, case["case"], expected, found["openssl"], found["cryptography"], "refused" if control else "BELIEVED"))
    for path in sorted(folder.glob("*.error.der")):
        status = ocsp.load_der_ocsp_response(path.read_bytes()).response_status.name.replace("_", "").lower()
        name = path.name.split(".")[0]
        done = subprocess.run(["openssl", "ocsp", "-respin", path, "-noverify"], capture_output=True, text=True, timeout=60, check=False)
        by_openssl = name if f"{name.lower()} (" in (done.stdout + done.stderr).lower() else "?"
        rows.append((status == name.lower() and by_openssl == name, folder.name, name, name, by_openssl, status, "-"))


def main():
    folders = sorted(path.parent for path in Path(sys.argv[1]).glob("*/cases.json"))
    if not folders:
        print("no cases.json: write samples first")
        return 2
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for folder in folders:
            judge(folder, Path(work), rows)
    print(f"{'keys':10} {'case':34} {'meant':30} {'openssl':30} {'cryptography':30} changed or foreign")
    for ok, *cells in rows:
        keys, case, meant, a, b, control = cells
        print(f"{keys:10} {case:34} {meant:30} {a:30} {b:30} {control}{'' if ok else '   <-- differs'}")
    wrong = sum(not ok for ok, *_ in rows)
    print(f"{len(rows)} judged, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
