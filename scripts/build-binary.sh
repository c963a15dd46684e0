#!/usr/bin/env bash
# Builds the release binary for TARGETARCH (amd64 or arm64; this machine's, if not given) into out/tandem, in two steps, so that an
# image keeps the first as a layer:
#   scripts/build-binary.sh dependencies   beside empty sources, for a tree that has only Cargo.toml and Cargo.lock
#   scripts/build-binary.sh tandem [FILE]  elsewhere than to out/tandem
# It is optimised for the profile pgo/<target>.profdata, if there is one (see pgo/train; PGO_GENERATE=FOLDER makes a binary that writes one).
# The same sources and compiler give the same bytes: no path and no time is in them.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${TARGETARCH:-$(dpkg --print-architecture)} in
amd64) target=x86_64-unknown-linux-gnu tools=x86_64-linux-gnu ;;
arm64) target=aarch64-unknown-linux-gnu tools=aarch64-linux-gnu ;;
*) echo "TARGETARCH is amd64 or arm64, not $TARGETARCH" >&2; exit 64 ;;
esac
name=${target//-/_}
# arm64 machines have pages of 4, 16 or 64 KiB: an allocator built for the largest runs on all of them.
if [ "$tools" = aarch64-linux-gnu ]; then export JEMALLOC_SYS_WITH_LG_PAGE=16; fi
export "CC_$name=$tools-gcc" "AR_$name=$tools-ar" "CARGO_TARGET_${name^^}_LINKER=$tools-gcc"
export RUSTFLAGS="--remap-path-prefix=$PWD=/src --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
if [ -n "${PGO_GENERATE:-}" ]; then
    RUSTFLAGS+=" -Cprofile-generate=$PGO_GENERATE"
elif [ -e "pgo/$target.profdata" ]; then
    RUSTFLAGS+=" -Cprofile-use=$PWD/pgo/$target.profdata"
fi
export CFLAGS="-ffile-prefix-map=$PWD=/src -ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo"
# Not the time of the commit either, which would recompile the C sources for each commit.
export SOURCE_DATE_EPOCH=0
if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx "$target"; then rustup target add "$target"; fi
# The name of each function of tandem depends on the path of this program, and the profile goes by these names.
auditable=/usr/local/bin/cargo-auditable
if [ ! -x $auditable ]; then echo "$auditable is missing: scripts/install-compilers.sh installs it" >&2; exit 69; fi
build=("$auditable" auditable build --release --locked --target "$target" --package tandem --bin tandem --features jemalloc)

case ${1:-} in
dependencies)
    if [ -e src ]; then echo "src is there: this step is for a tree without sources" >&2; exit 64; fi
    mkdir -p src benches/instructions/src crates/sim/src crates/testkit/src loadtest/src
    touch src/lib.rs crates/sim/src/lib.rs crates/testkit/src/lib.rs
    for file in src/main.rs benches/instructions/src/main.rs loadtest/src/main.rs build.rs; do echo 'fn main() {}' >"$file"; done
    "${build[@]}"
    # Cargo goes by times, and a checkout may be older than what was just built: none of the empty tandem may stay.
    cargo clean --release --target "$target" --package tandem
    rm -r src build.rs
    ;;
tandem)
    "${build[@]}"
    to=${2:-out/tandem}
    mkdir -p "$(dirname "$to")"
    cp "${CARGO_TARGET_DIR:-target}/$target/release/tandem" "$to"
    ;;
*) echo "usage: $0 dependencies|tandem [FILE]" >&2; exit 64 ;;
esac
