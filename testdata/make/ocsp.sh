#!/usr/bin/env bash
# Makes testdata/rfc6960 anew: requests and responses by OpenSSL and by python cryptography (PROVENANCE.toml).
# Needs: openssl 3.0 or newer; python3 with cryptography, named by PYTHON if it is another one. Different each time.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p rfc6960
v=$(openssl version | awk '{print $2}')
out() { echo "rfc6960/openssl-$v-$1.der"; }
openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
openssl genrsa -out "$work/responder.key" 2048 2>/dev/null
openssl req -x509 -new -key "$work/ca.key" -subj "/O=Example/CN=Issuer" -days 36500 -out "$work/ca.pem" -addext keyUsage=critical,keyCertSign,cRLSign
openssl req -new -key "$work/responder.key" -subj "/CN=Responder" -out "$work/responder.csr"
openssl x509 -req -in "$work/responder.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial 0x99 -days 36500 -out "$work/responder.pem" \
  -extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=OCSPSigning\nnoCheck=ignored\n') 2>/dev/null
openssl x509 -in "$work/ca.pem" -outform DER -out "$(out issuer)"
{ printf 'V\t991231235959Z\t\t1122\tunknown\t/CN=a\n'
  printf 'R\t991231235959Z\t260101000000Z,keyCompromise\t33\tunknown\t/CN=b\n'
  printf 'R\t991231235959Z\t260102030405Z\t44\tunknown\t/CN=c\n'
  printf 'R\t991231235959Z\t260102030405Z,certificateHold\t55\tunknown\t/CN=d\n'; } > "$work/index"
request() { openssl ocsp -issuer "$work/ca.pem" -reqout "$(out "request-$1")" "${@:2}" >/dev/null 2>&1; }
request sha1-no-nonce -serial 0x1122 -no_nonce
request sha1-nonce -serial 0x33
request sha256-nonce -sha256 -serial 0x33
request sha512-four -sha512 -serial 0x1122 -sha512 -serial 0x33 -sha512 -serial 0x44 -sha512 -serial 0x66
request signed -serial 0x1122 -signer "$work/responder.pem" -signkey "$work/responder.key"
request sha1-hold -serial 0x55 -no_nonce
request sha224 -sha224 -serial 0x1122
respond() { openssl ocsp -index "$work/index" -CA "$work/ca.pem" -reqin "$(out "request-$2")" -respout "$(out "response-$1")" \
  -ndays 36000 "${@:3}" >/dev/null 2>&1; }
delegated=(-rsigner "$work/responder.pem" -rkey "$work/responder.key" -rmd sha256)
issuer=(-rsigner "$work/ca.pem" -rkey "$work/ca.key" -rmd sha256)
respond good-by-name sha1-no-nonce "${delegated[@]}"
respond revoked-nonce-by-key sha1-nonce "${delegated[@]}" -resp_key_id
respond sha256-revoked-by-issuer sha256-nonce "${issuer[@]}" -resp_no_certs
respond four sha512-four "${delegated[@]}" -rmd sha384
respond hold sha1-hold "${delegated[@]}"
"${PYTHON:-python3}" make/ocsp_by_cryptography.py rfc6960
echo "made with openssl $v"
