#!/usr/bin/env bash
# What the image's build stage needs on Debian: a C compiler and make (for SQLite, ring and jemalloc), the one for TARGETARCH too,
# certificates, and cargo-auditable, which writes the list of crates into the binary: scanners read it there.
set -euo pipefail
here=$(dpkg --print-architecture)
packages=(binutils ca-certificates gcc libc6-dev make)
case ${TARGETARCH:-$here} in
"$here") ;;
arm64) packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross) ;;
amd64) packages+=(gcc-x86-64-linux-gnu libc6-dev-amd64-cross) ;;
*) echo "no compiler for $TARGETARCH" >&2; exit 64 ;;
esac
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
rm -rf /var/lib/apt/lists/*
cargo install --locked --quiet --root /usr/local cargo-auditable@0.7.7
