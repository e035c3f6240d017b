#!/usr/bin/env python3
"""Lets OpenSSL and Python `cryptography` judge the paths in testdata/paths, and compares with the manifest.

usage: rigs/paths/judge.py [CASE...]

Prints a row for each case: our verdict by the manifest (crates/x509/tests/paths.rs holds our verifier to it), OpenSSL's,
`cryptography`'s. Ends with 1 if one of them says something else than the manifest without a reason in it, or says the same
although the manifest has a reason why it should not.
"""
import concurrent.futures
import datetime
import pathlib
import re
import subprocess
import sys
import tempfile

from cryptography import x509
from cryptography.x509 import verification as v

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATHS = ROOT / "testdata" / "paths"
NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc)
BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----\n", re.S)
TIMEOUT_S = 10


OPENSSL = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]


def until(expected, version):
    """What is expected of this version: `before 3.5: why` differs until then."""
    found = re.match(r"before ([0-9.]+): (.+)", expected)
    if not found:
        return expected
    number = lambda text: [int(n) for n in re.findall(r"\d+", text)]
    return f"differs: before {found.group(1)} {found.group(2)}" if number(version) < number(found.group(1)) else "same"


class Case:
    def __init__(self, line):
        self.name, self.verdict, demands, self.resembles, self.openssl, self.cryptography = line.split("\t")
        self.demands = [] if demands == "-" else [word.partition("=")[::2] for word in demands.split()]
        self.openssl = until(self.openssl, OPENSSL)
        anchor = ("anchor", "") in self.demands
        self.anchor = PATHS / (f"{self.name}.anchor.pem" if anchor else "root.pem")
        blocks = [(m.group(1), m.group(0)) for m in BLOCK.finditer((PATHS / f"{self.name}.pem").read_text())]
        self.certificates = [text for label, text in blocks if label == "CERTIFICATE"]
        self.lists = [text for label, text in blocks if label == "X509 CRL"]


def by_openssl(case):
    if case.openssl.startswith("-"):
        return "-"
    flags = {"revocation=all": ["-crl_check_all", "-extended_crl"], "revocation=leaf": ["-crl_check", "-extended_crl"], "deltas=": ["-use_deltas"],
             "explicit=": ["-explicit_policy"], "inhibit-any=": ["-inhibit_any"], "inhibit-map=": ["-inhibit_map"],
             "purpose=client": ["-purpose", "sslclient"]}
    arguments = []
    for key, value in case.demands:
        match key:
            case "policy":
                arguments += ["-policy", value]
            case "anchor":
                pass
            case "dns":
                arguments += ["-verify_hostname", value]
            case _:
                arguments += flags[f"{key}={value}"]
    if not any(key == "policy" for key, _ in case.demands):
        # For OpenSSL no demanded policy is none at all; for RFC 5280 it is any.
        arguments += ["-policy", "2.5.29.32.0"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = {"leaf": case.certificates[:1], "pool": case.certificates[1:], "lists": case.lists}
        for name, texts in files.items():
            (folder / name).write_text("".join(texts))
        if files["pool"]:
            arguments += ["-untrusted", folder / "pool"]
        if files["lists"]:
            arguments += ["-CRLfile", folder / "lists"]
        command = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", case.anchor, "-attime",
                   str(int(NOW.timestamp())), "-policy_check", *arguments, folder / "leaf"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if run.returncode == 0:
        return "ok"
    found = re.search(r"error \d+ at (\d+) depth lookup: (.+)", run.stderr + run.stdout)
    return f"{found.group(2)}:{found.group(1)}" if found else "refused: " + (run.stderr.strip().splitlines() or ["?"])[-1]


def by_cryptography(case):
    if case.cryptography.startswith("-"):
        return "-"
    try:
        leaf, *pool = [x509.load_pem_x509_certificate(text.encode()) for text in case.certificates]
        root = x509.load_pem_x509_certificate(case.anchor.read_bytes())
        authorities = v.ExtensionPolicy.webpki_defaults_ca()
        builder = v.PolicyBuilder().store(v.Store([root])).time(NOW)
        demands = dict(case.demands)
        # For itself, the library judges what a web server or its client presents; other leaves are let be.
        if "purpose" not in demands:
            anything = v.ExtensionPolicy.permit_all()
            if "dns" in demands:
                anything = anything.require_present(x509.SubjectAlternativeName, v.Criticality.AGNOSTIC, None)
            builder = builder.extension_policies(ca_policy=authorities, ee_policy=anything)
        if "dns" in demands:
            builder.build_server_verifier(x509.DNSName(demands["dns"])).verify(leaf, pool)
        else:
            builder.build_client_verifier().verify(leaf, pool)
        return "ok"
    except (v.VerificationError, ValueError, x509.UnsupportedGeneralNameType, x509.DuplicateExtension) as error:
        return str(error).splitlines()[0]


def judge(case):
    return case, by_openssl(case), by_cryptography(case)


def complaint(case, who, expected, found):
    """What is not as the manifest has it."""
    if expected.startswith("-"):
        return None
    agrees = (found == "ok") == (case.verdict == "ok")
    if expected == "same" and not agrees:
        return f"{case.name}: {who} says {found!r}, we say {case.verdict!r}"
    if expected.startswith("differs: ") and agrees:
        return f"{case.name}: {who} agrees, although the manifest says that it {expected!r}"
    return None


def cut(text, width):
    return text if len(text) <= width else text[: width - 1] + "…"


def main():
    lines = (PATHS / "manifest.tsv").read_text().splitlines()[1:]
    cases = [Case(line) for line in lines if not sys.argv[1:] or line.split("\t")[0] in sys.argv[1:]]
    if not cases:
        sys.exit("no such case")
    complaints, agreed = [], {"OpenSSL": 0, "cryptography": 0}
    print(f"{'case':48} {'PKITS':8} {'ours':20} {'OpenSSL':42} cryptography")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for case, openssl, cryptography in pool.map(judge, cases):
            print(f"{case.name:48} {case.resembles:8} {case.verdict:20} {cut(openssl, 41):42} {cut(cryptography, 60)}")
            for who, expected, found in (("OpenSSL", case.openssl, openssl), ("cryptography", case.cryptography, cryptography)):
                if expected.startswith("differs: "):
                    print(f"{'':48} {who} {expected}")
                wrong = complaint(case, who, expected, found)
                complaints += [wrong] if wrong else []
                agreed[who] += expected == "same" and not wrong
    print(f"\n{len(cases)} cases; " + ", ".join(f"{who} agrees in {n}" for who, n in agreed.items()))
    for wrong in complaints:
        print(f"UNEXPLAINED {wrong}")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
