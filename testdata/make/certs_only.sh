#!/usr/bin/env bash
# Makes testdata/rfc5652: certificates of testdata/rfc5280 together in one message, by `openssl crl2pkcs7`, once without a list
# and once with one.
set -euo pipefail
cd "$(dirname "$0")/.."
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
for name in leaf root; do
  openssl x509 -inform DER -in rfc5280/openssl-3.0.19-$name.der >>"$made/all.pem"
done
openssl crl -inform DER -in rfc5280/openssl-3.0.19-crl.der -out "$made/crl.pem"
mkdir -p rfc5652
openssl crl2pkcs7 -nocrl -certfile "$made/all.pem" -outform DER -out rfc5652/openssl-3.0.19-two-certificates.der
openssl crl2pkcs7 -in "$made/crl.pem" -certfile "$made/all.pem" -outform DER -out rfc5652/openssl-3.0.19-and-a-list.der
