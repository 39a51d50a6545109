# Sourced by the scripts (bash): where the project is, and how they speak and fail.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# The same sorting, numbers and messages everywhere.
export LC_ALL=C.UTF-8

say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

# configure_build PRESET [CMAKE ARGUMENT...]: GCC unless the preset or $CXX names another compiler.
configure_build() {
  local preset=$1
  shift
  local arguments=(-S "$ROOT" --preset "$preset")
  if command -v ccache >/dev/null; then
    arguments+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  if [[ $preset == release || $preset == debug || $preset == package ]]; then
    arguments+=("-DCMAKE_CXX_COMPILER=${CXX:-g++}")
  fi
  (cd "$ROOT" && cmake "${arguments[@]}" "$@")
}
