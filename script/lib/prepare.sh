# Sourced by script/chat and script/server, after common.sh: from a fresh clone to a program and a model.

# prepare_model [MODEL] [OPTION...]: sets MODEL and OPTIONS; afterwards build/release/minke and the model are there.
prepare_model() {
  MODEL=qwen2.5-coder:1.5b
  if (($# > 0)) && [[ $1 != -* ]]; then
    MODEL=$1
    shift
  fi
  OPTIONS=("$@")

  "$ROOT/script/bootstrap" build </dev/null

  # Without the tests: they need more packages. A folder that script/test configured is used as it is.
  if [[ ! -e $ROOT/build/release/build.ninja ]]; then
    say "configuring the build"
    mkdir -p "$ROOT/build"
    configure_build release -DMINKE_TESTS=OFF >"$ROOT/build/configure.log" 2>&1 </dev/null || {
      cat "$ROOT/build/configure.log" >&2
      die "the build could not be configured"
    }
  fi

  python3 "$ROOT/script/lib/build_and_fetch.py" "$MODEL" </dev/null
}
