#!/usr/bin/env bash
# Makes testdata/rfc9810 anew: CMP messages by `openssl cmp` and its mock server (PROVENANCE.toml).
# Needs: openssl 3.0 or newer. Different each time, because keys, nonces and ECDSA signatures are.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
v=$(openssl version | awk '{print $2}'); out=rfc9810/openssl-${v%.*}
mkdir -p "$out"; rm -f "$out"/*.der
export OPENSSL_CONF=/dev/null
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$work/$1.key"; }
for k in ca server ra device; do key $k; done
openssl genrsa -out "$work/rsa.key" 2048 2>/dev/null
openssl req -x509 -new -key "$work/ca.key" -subj "/O=Foreign/CN=Issuing" -days 36500 -out "$work/ca.pem" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -addext subjectKeyIdentifier=hash
issue() { # NAME KEY SERIAL EXTENSIONS
  openssl req -new -key "$work/$2.key" -subj "/O=Foreign/CN=$1" -out "$work/$1.csr"
  openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial "$3" -days 36500 \
    -extfile <(printf 'keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n%s\n' "$4") -out "$work/$1.pem" 2>/dev/null
}
issue server server 0x11 'extendedKeyUsage=1.3.6.1.5.5.7.3.27'
issue ra ra 0x12 'extendedKeyUsage=1.3.6.1.5.5.7.3.28'
issue ra-rsa rsa 0x14 'extendedKeyUsage=1.3.6.1.5.5.7.3.28'
issue device device 0x13 'extendedKeyUsage=clientAuth'
for c in ca server ra device; do openssl x509 -in "$work/$c.pem" -outform DER -out "$out/$c-certificate.der"; done
mac=(-ref station-1 -secret pass:shared -srv_ref foreign -srv_secret pass:shared -mac hmacWithSHA256)
sign=(-cert "$work/ra.pem" -key "$work/ra.key" -srv_cert "$work/server.pem" -srv_key "$work/server.key" -srv_trusted "$work/ca.pem" -trusted "$work/ca.pem")
exchange() { # NAME, how many messages each way, arguments: writes NAME-request-N.der and NAME-response-N.der
  local name=$1 n=$2 requests=() responses=() i
  for ((i = 1; i <= n; i++)); do requests+=("$out/$name-request-$i.der"); responses+=("$out/$name-response-$i.der"); done
  openssl cmp -use_mock_srv -rsp_cert "$work/device.pem" -accept_raverified "${@:3}" -certout "$work/got.pem" \
    -reqout "${requests[*]}" -rspout "${responses[*]}" >"$work/log" 2>&1 || grep -q "received error\|failed\|PKIStatus\|rejection" "$work/log" || { cat "$work/log"; exit 1; }
  [ -s "$out/$name-response-1.der" ] || { cat "$work/log"; echo "no response: $name"; exit 1; }
}
new=(-newkey "$work/device.key" -subject "/O=Foreign/CN=device" -out_trusted "$work/ca.pem")
exchange ir-mac 2 -cmd ir "${mac[@]}" "${new[@]}"
exchange ir-mac-sha1 2 -cmd ir "${mac[@]}" -mac hmac-sha1 "${new[@]}" -implicit_confirm -grant_implicitconf
exchange ir-implicit 1 -cmd ir "${mac[@]}" "${new[@]}" -implicit_confirm -grant_implicitconf -popo 0
exchange cr-signature 2 -cmd cr "${sign[@]}" "${new[@]}" -sans "device.example"
exchange cr-rsa 2 -cmd cr "${sign[@]}" -cert "$work/ra-rsa.pem" -key "$work/rsa.key" "${new[@]}"
exchange kur 2 -cmd kur "${sign[@]}" -cert "$work/device.pem" -key "$work/device.key" "${new[@]}"
exchange p10cr 2 -cmd p10cr "${sign[@]}" -csr "$work/device.csr" -out_trusted "$work/ca.pem"
exchange rr 1 -cmd rr "${sign[@]}" -oldcert "$work/device.pem" -revreason 1
exchange rr-no-reason 1 -cmd rr "${mac[@]}" -oldcert "$work/device.pem"
exchange genm 1 -cmd genm "${mac[@]}" -infotype signKeyPairTypes
exchange polled 4 -cmd ir "${mac[@]}" "${new[@]}" -poll_count 1 -check_after 1
exchange error 1 -cmd cr "${sign[@]}" "${new[@]}" -send_error -failure 2 -statusstring "not today"
exchange rejected 1 -cmd cr "${sign[@]}" "${new[@]}" -pkistatus 2 -failure 0 -statusstring "unknown algorithm"
exchange error-unprotected 1 -cmd cr "${sign[@]}" "${new[@]}" -send_error -failure 16 -send_unprot_err -unprotected_errors
exchange ca-pubs 2 -cmd ir "${mac[@]}" "${new[@]}" -rsp_capubs "$work/ca.pem" -rsp_extracerts "$work/ca.pem"
find "$out" -empty -delete
echo "made with openssl $v"
