#!/usr/bin/env bash
# Makes testdata/rfc8878 anew: two images, and what Debian's zstd makes of both (PROVENANCE.toml).
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../rfc8878"

words() { awk -v n="$1" -v seed="$2" 'BEGIN { srand(seed); split("alpha beta gamma delta modem boot loader 17 firmware the a of", w, " ");
  for (i = 0; i < n; i++) printf "%s%s", w[int(rand() * 12) + 1], rand() < 0.1 ? "\n" : " " }'; }
words 700 1 >base
{ head -c 1000 base; words 300 2; tail -c 1500 base; head -c 400 /dev/zero; head -c 2000 base; } >image

make() { zstd -q -f --patch-from=base image -o "zstd-1.5.4-$1.zst" "${@:2}"; }
make level-1 -1
make level-19 -19 --no-check
make window-2-31 -3 --long=31
make fast --fast=5
# It does not say how long the image is.
zstd -q -c -3 <image >zstd-1.5.4-stream.zst
head -c 100000 /dev/zero | zstd -q -c -1 >zstd-1.5.4-zeros.zst
