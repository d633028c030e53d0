#!/bin/sh
# Fuzzes one target for a minute with libFuzzer under address and undefined-behaviour sanitizers, from its seed corpus.
#
#   tests/fuzz/run.sh BUILD_FOLDER TARGET
#
# VKLM_FUZZ_SECONDS: another time than a minute.
# What it finds lies in BUILD_FOLDER/found/ and can be replayed with fuzz_TARGET FILE of an ordinary build.
cd "$(dirname "$0")/../.." || exit 2
build=$1 target=$2 seconds=${VKLM_FUZZ_SECONDS:-60}
echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n ? 0 : 0; }' |
    clang -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null || {
    echo "skipped: no clang with libFuzzer"
    exit 77
}
mkdir -p "$build/found" "$build/corpus-$target"
CC=clang cmake -S . -B "$build" -G Ninja -DVKLM_SANITIZE=ON -DVKLM_FUZZ=ON >"$build.$target.log" 2>&1 &&
    ninja -C "$build" "fuzz_$target" >>"$build.$target.log" 2>&1 || {
    tail -n 40 "$build.$target.log"
    exit 1
}
exec "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/found/" "$build/corpus-$target" "tests/fuzz/corpus/$target"
