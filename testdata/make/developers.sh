#!/usr/bin/env bash
# Signatures of developers over one image, by OpenSSL, GnuPG and securesystemslib; and those that must be refused.
# Needs openssl, gpg, and python with cryptography and securesystemslib: PYTHON names it.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/developers python=${PYTHON:-python3}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
rm -rf "$out" && mkdir "$out"
printf 'firmware 1.0\n' >"$out/firmware.bin"
printf 'firmware 1.1\n' >"$work/other.bin"
"$python" make/developer_certificates.py "$out" "$work"
"$python" make/developer_envelopes.py "$out" "$out/firmware.bin"

cms() { # NAME WHO OPTION...
  local name=$1 who=$2
  shift 2
  openssl cms -sign -binary -outform DER -in "$out/firmware.bin" -signer "$out/$who.pem" -inkey "$work/$who.key" \
    -out "$out/cms-$name.der" "$@"
}
cms p256 p256
cms p384 p384 -md sha384
cms rsa rsa -certfile "$out/below.pem"
cms rsa-pss rsa -certfile "$out/below.pem" -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:digest
cms key-identifier p256 -keyid
cms no-certificate p256 -nocerts
cms two p256 -signer "$out/rsa.pem" -inkey "$work/rsa.key" -certfile "$out/below.pem"
# Refused, each for its own reason.
cms sha1 p256 -md sha1
cms expired expired
cms server server
cms cipher cipher
cms stranger stranger
cms plain plain
cms attached p256 -nodetach
cms without-attributes p256 -noattr
cms missing-authority rsa
cms other-image p256 -in "$work/other.bin"

export GNUPGHOME=$work/gnupg
mkdir -m 700 "$GNUPGHOME"
gpg_() { gpg --batch --quiet --pinentry-mode loopback --passphrase '' "$@" 2>/dev/null; }
sign() { # NAME WHO OPTION...
  local name=$1 who=$2
  shift 2
  gpg_ --local-user "$who" --output "$out/openpgp-$name" --detach-sign "$@" "$out/firmware.bin"
}
gpg_ --quick-generate-key 'Frank <frank@example.org>' ed25519 sign never
gpg_ --quick-generate-key 'Grace <grace@example.org>' rsa3072 sign never
gpg_ --quick-generate-key 'Heidi <heidi@example.org>' nistp256 sign never
gpg_ --quick-generate-key 'Ivan <ivan@example.org>' ed25519 cert never
gpg_ --quick-add-key "$(gpg_ --list-keys --with-colons ivan | awk -F: '$1 == "fpr" { print $10; exit }')" ed25519 sign never
gpg_ --quick-generate-key 'Judy <judy@example.org>' ed25519 sign never
gpg_ --quick-generate-key 'Lena <lena@example.org>' ed25519 sign never
gpg_ --faked-system-time 20260102T000000 --quick-generate-key 'Kim <kim@example.org>' ed25519 sign 20260201T000000
for who in frank grace heidi ivan judy kim; do
  gpg_ --armor --export "$who@example.org" >"$out/openpgp-$who.asc"
done
gpg_ --export frank@example.org >"$out/openpgp-frank.pgp"
sign frank.sig frank
sign frank-armored.sig frank --armor
sign grace-sha512.sig grace --digest-algo SHA512
sign heidi.sig heidi
sign ivan-subkey.sig ivan
sign judy.sig judy
# Refused.
sign grace-sha1.sig grace --digest-algo SHA1
sign frank-text.sig frank --textmode
sign lena-revoked.sig lena
sed 's/^:---/---/' "$GNUPGHOME"/openpgp-revocs.d/"$(gpg_ --list-keys --with-colons lena | awk -F: '$1 == "fpr" { print $10; exit }')".rev >"$work/revocation"
gpg_ --import "$work/revocation"
gpg_ --armor --export lena@example.org >"$out/openpgp-lena.asc"
sign kim-expired.sig kim --faked-system-time 20260103T000000
gpg_ --local-user frank --output "$out/openpgp-frank-other-image.sig" --detach-sign "$work/other.bin"
gpg_ --local-user frank --output "$out/openpgp-frank-attached.sig" --sign "$out/firmware.bin"
