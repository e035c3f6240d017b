#!/usr/bin/env bash
# Makes testdata/lists anew: registration lists written with a text editor's means and signed with OpenSSL alone.
# Needs: openssl 3.0 or newer. Keys are thrown away.
set -euo pipefail
mkdir -p "$(dirname "$0")/../lists"; cd "$(dirname "$0")/../lists"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
v=$(openssl version | awk '{print $2}')
printf '# supplier: acme\n# sequence: 7\n# count: 2\n# valid until: 2027-12-31\nserial,type\nSN000001,sensor\nSN000002,sensor\n' > acme-7.csv
printf '{"supplier": "acme", "sequence": 7, "count": 1, "valid_until": "2027-12-31",\n "devices": [{"serial": "SN000001", "type": "sensor"}]}\n' > acme-7.json
openssl ecparam -name prime256v1 -genkey -noout -out "$work/p256"
openssl ecparam -name secp384r1 -genkey -noout -out "$work/p384"
openssl genpkey -algorithm ed25519 -out "$work/ed25519"
openssl genrsa -out "$work/rsa2048" 2048 2>/dev/null
openssl genrsa -out "$work/rsa1024" 1024 2>/dev/null
for k in p256 p384 ed25519 rsa2048 rsa1024; do
  openssl pkey -in "$work/$k" -pubout -outform DER -out "openssl-$v-$k.spki.der"
done
for k in p256 p384 rsa2048; do
  openssl dgst -sha256 -sign "$work/$k" -out "openssl-$v-$k.sig" acme-7.csv
done
openssl pkeyutl -sign -rawin -inkey "$work/ed25519" -in acme-7.csv -out "openssl-$v-ed25519.sig"
openssl dgst -sha384 -sign "$work/p384" -out "openssl-$v-p384-sha384.sig" acme-7.csv
openssl dgst -sha1 -sign "$work/p256" -out "openssl-$v-p256-sha1.sig" acme-7.csv
openssl dgst -sha256 -sign "$work/p256" -out "openssl-$v-p256-json.sig" acme-7.json
