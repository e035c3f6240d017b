#!/bin/sh
# Makes rfc8894: a certificate of a server, its key, and what two clients send it. Needs OpenSSL, strongswan-pki and scep of Debian 12.
set -eu
to=$(cd "$(dirname "$0")/../rfc8894" && pwd)
script=$(cd "$(dirname "$0")" && pwd)/scep.py
cd "$(mktemp -d)"
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj "/O=Cradle test/CN=SCEP CA" -days 36500
openssl req -newkey rsa:2048 -nodes -keyout ra.key -out ra.csr -subj "/O=Cradle test/CN=SCEP RA"
printf 'keyUsage=critical,digitalSignature,keyEncipherment\nbasicConstraints=CA:FALSE\n' > ext
openssl x509 -req -in ra.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 36500 -extfile ext -out ra.pem
openssl crl2pkcs7 -nocrl -certfile ra.pem -certfile ca.pem -outform DER -out chain.p7
openssl x509 -in ra.pem -outform DER -out "$to/openssl-3.0.19-ra.der"
openssl pkcs8 -topk8 -nocrypt -in ra.key -outform DER -out "$to/openssl-3.0.19-ra-key.der"
python3 "$script" 18894 &
taking=$!
trap 'kill $taking' EXIT
sleep 1
openssl genrsa -traditional 2048 | openssl rsa -traditional -outform DER -out device.der
url=http://127.0.0.1:18894/scep/devices
# Neither gets an answer that it can read.
pki --scep --url $url --in device.der --dn "O=Cradle test, serialNumber=SN000001" --password one-time-secret \
  --cacert-enc ra.pem --cacert-sig ra.pem --cacert ca.pem || cp 1.der "$to/strongswan-5.9.8-pkcsreq.der"
scepclient -private-key other.key -server-url $url -challenge one-time-secret -cn SN000002 \
  -organization "Cradle test" -certificate other.pem || cp 2.der "$to/micromdm-2.1.0-pkcsreq-sha1.der"
