#!/usr/bin/env bash
# Makes the foreign artefacts of testdata/ anew. They are checked in; this says how they came to be (PROVENANCE.toml).
# Needs: openssl 3.0 or newer, python3. The output is different each time, because keys and ECDSA signatures are.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
v=$(openssl version | awk '{print $2}')
key() { case $1 in
  p256|p384) openssl ecparam -name "$([ "$1" = p256 ] && echo prime256v1 || echo secp384r1)" -genkey -noout -out "$work/$1.key";;
  ed25519) openssl genpkey -algorithm ed25519 -out "$work/$1.key";;
  rsa*) openssl genrsa -out "$work/$1.key" "${1#rsa}" 2>/dev/null;;
esac; }
req() { openssl req -new -key "$work/$1.key" -outform DER -out "rfc2986/openssl-$v-$2.der" "${@:3}"; }
for k in p256 p384 ed25519 rsa1024 rsa2048 rsa3072; do key $k; done
for k in p256 p384 ed25519 rsa2048 rsa3072; do req $k $k -subj /; done
req p256 p256-named -subj "/O=Example/CN=sensor/serialNumber=SN0001"
req p256 p256-other-name -subj "/CN=somebody.else.example"
req rsa1024 rsa1024-weak -subj /
req p256 p256-sha384 -subj / -sha384
req rsa2048 rsa2048-sha512 -subj / -sha512
req rsa2048 rsa2048-sha1 -subj / -sha1
req p256 p256-ca-true -subj / -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
req p256 p256-wildcard -subj / -addext subjectAltName=DNS:*.example
req p256 p256-key-usage -subj / -addext keyUsage=critical,digitalSignature
cp "rfc2986/openssl-$v-p256.der" "$work/broken.der"
python3 - "$work/broken.der" "rfc2986/openssl-$v-p256-broken-signature.der" <<'P'
import sys
octets = bytearray(open(sys.argv[1], "rb").read()); octets[-1] ^= 1
open(sys.argv[2], "wb").write(octets)
P
# CRMF: the body of an ir that `openssl cmp` would have sent. The message is a PKIMessage; its body [0] is CertReqMessages.
for k in p256 p384 ed25519 rsa2048; do
  for popo in 1:signature 0:raverified -1:absent; do
    openssl cmp -cmd ir -server 127.0.0.1:1 -msg_timeout 1 -total_timeout 1 -ref r -secret pass:s -newkey "$work/$k.key" -subject "/" \
      -popo "${popo%%:*}" -certout "$work/none.pem" -reqout "$work/ir.der" >/dev/null 2>&1 || true
    [ -s "$work/ir.der" ] || { echo "openssl cmp made no request"; exit 1; }
    python3 make/crmf_of.py "$work/ir.der" "rfc4211/openssl-$v-$k-${popo#*:}.der"; rm "$work/ir.der"
  done
done
openssl cmp -cmd ir -server 127.0.0.1:1 -msg_timeout 1 -total_timeout 1 -ref r -secret pass:s -newkey "$work/p256.key" \
  -subject "/CN=somebody.else.example" -days 10 -certout "$work/none.pem" -reqout "$work/ir.der" >/dev/null 2>&1 || true
python3 make/crmf_of.py "$work/ir.der" "rfc4211/openssl-$v-p256-validity-and-name.der"
# A chain and a CRL.
openssl req -x509 -new -key "$work/p384.key" -subj "/O=Example/CN=Root" -days 3650 -outform DER -out "rfc5280/openssl-$v-root.der"
openssl req -new -key "$work/p256.key" -subj "/CN=Leaf" -out "$work/leaf.csr"
openssl x509 -inform DER -in "rfc5280/openssl-$v-root.der" -out "$work/root.pem"
openssl x509 -req -in "$work/leaf.csr" -CA "$work/root.pem" -CAkey "$work/p384.key" -set_serial 0x1122 -days 30 \
  -extfile <(echo "keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth
subjectAltName=DNS:leaf.example,URI:urn:x") -outform DER -out "rfc5280/openssl-$v-leaf.der" 2>/dev/null
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\ncrlnumber=%s/crlnumber\ndefault_md=sha384\ndefault_crl_days=30\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n' "$work" "$work" > "$work/ca.cnf"
printf 'R\t360101000000Z\t260101000000Z,keyCompromise\t1122\tunknown\t/CN=Leaf\nR\t360101000000Z\t260101000000Z\t33\tunknown\t/CN=b\n' > "$work/index"; echo 07 > "$work/crlnumber"
openssl ca -config "$work/ca.cnf" -gencrl -keyfile "$work/p384.key" -cert "$work/root.pem" -out "$work/crl.pem" 2>/dev/null
openssl crl -in "$work/crl.pem" -outform DER -out "rfc5280/openssl-$v-crl.der"
echo "made with openssl $v"
