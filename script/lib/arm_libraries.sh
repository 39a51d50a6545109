#!/usr/bin/env bash
# What Debian packages for 64-bit Arm hold of headers and archives, to link a program for it on another machine.
#
#   script/lib/arm_libraries.sh FOLDER PACKAGE...     FOLDER/include, FOLDER/lib
#
# The packages come from the archives that apt is set up for. Nothing is installed: apt has lists of its own in FOLDER for
# this, and dpkg need not know of the other architecture. Rust's standard library comes too, where rustc lacks it. Does
# nothing when all of that is there.
set -euo pipefail
source "$(dirname "$0")/common.sh"
FOLDER=$1
shift
ARCHITECTURE=arm64
TRIPLE=aarch64-linux-gnu
RUST_TRIPLE=aarch64-unknown-linux-gnu
# cmake looks for cargo here first, too (src/constrain/llguidance.cmake).
export PATH=$HOME/.cargo/bin:$PATH

apt_for() {
  mkdir -p "$FOLDER/apt/lists/partial" "$FOLDER/apt/cache/archives/partial"
  touch "$FOLDER/apt/status"
  apt-get -q -o APT::Architecture="$ARCHITECTURE" -o APT::Architectures="$ARCHITECTURE" -o APT::Sandbox::User=root \
    -o Dir::State="$FOLDER/apt" -o Dir::State::status="$FOLDER/apt/status" -o Dir::Cache="$FOLDER/apt/cache" \
    -o Acquire::Languages=none "$@"
}

has_rust_library() {
  compgen -G "$(rustc --print target-libdir --target "$RUST_TRIPLE")/libstd-*.rlib" >/dev/null
}

# The package of Rust's standard library, as NAME=VERSION, if rustc is Debian's: they must be of one build.
rust_package() {
  local name version
  command -v rustc >/dev/null || return 0
  if has_rust_library; then return 0; fi
  for name in rustc-web rustc; do
    version=$(dpkg-query -W -f '${Version}' "$name" 2>/dev/null) || continue
    if [[ $(command -v rustc) == /usr/bin/rustc ]]; then echo "libstd-${name/rustc/rust}-dev=$version"; fi
    return 0
  done
}

unpack() {
  local file=$1 place
  rm -rf "$FOLDER/package"
  dpkg-deb -x "$file" "$FOLDER/package"
  mkdir -p "$FOLDER/include" "$FOLDER/lib"
  for place in include "include/$TRIPLE"; do
    if [[ -d $FOLDER/package/usr/$place ]]; then cp -a "$FOLDER/package/usr/$place/." "$FOLDER/include/"; fi
  done
  find "$FOLDER/package/usr/lib" -name '*.a' -path "*/$TRIPLE/*" -exec cp -a -t "$FOLDER/lib" {} + 2>/dev/null || true
  find "$FOLDER/package/usr/lib" -type d -path "*/rustlib/$RUST_TRIPLE" -print0 2>/dev/null |
    while IFS= read -r -d '' place; do
      mkdir -p "$FOLDER/lib/rustlib"
      cp -a "$place" "$FOLDER/lib/rustlib/"
    done
  rm -rf "$FOLDER/package"
}

main() {
  if command -v rustup >/dev/null && ! has_rust_library; then
    rustup --quiet target add "$RUST_TRIPLE" >&2 || say "arm_libraries: rustup has no $RUST_TRIPLE"
  fi
  local packages=("$@") rust
  rust=$(rust_package)
  if [[ -n $rust ]]; then packages+=("$rust"); fi
  if [[ $(cat "$FOLDER/complete" 2>/dev/null) == "${packages[*]}" ]]; then return 0; fi
  say "arm_libraries: fetching ${packages[*]}"
  rm -rf "$FOLDER"
  mkdir -p "$FOLDER/debs"
  FOLDER=$(cd "$FOLDER" && pwd)
  apt_for update >&2 || say "arm_libraries: apt-get update failed; going on"
  (cd "$FOLDER/debs" && apt_for download "${packages[@]}" >&2) ||
    die "no packages for $ARCHITECTURE: ${packages[*]}. The archives that apt is set up for must have them"
  local file
  for file in "$FOLDER"/debs/*.deb; do unpack "$file"; done
  rm -rf "$FOLDER/apt" "$FOLDER/debs"
  echo "${packages[*]}" >"$FOLDER/complete"
}

main "$@"
