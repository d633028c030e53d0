#!/bin/sh
# The library's threads under ThreadSanitizer: a random model made, packed, checked, loaded and run by the program.
# (Criterion does not start under it.) The device's own threads are left out: tsan.supp.
#
#   tests/check/tsan.sh BUILD_FOLDER
cd "$(dirname "$0")/../.." || exit 2
mkdir -p "$1"
cmake -S . -B "$1" -G Ninja -DVKLM_SANITIZE=thread -DVKLM_TESTS=OFF >"$1.log" 2>&1 &&
    ninja -C "$1" vklm_program >>"$1.log" 2>&1 || {
    tail -n 60 "$1.log"
    exit 1
}
vklm=$PWD/$1/vklm
case "$1" in /*) vklm=$1/vklm ;; esac
export TSAN_OPTIONS="exitcode=66 suppressions=$PWD/tests/check/tsan.supp"
still=
"$vklm" --version >/dev/null 2>&1 || { # older runtimes know fewer layouts of a process than newer kernels make
    still="setarch -R"
    $still "$vklm" --version >/dev/null 2>&1 || {
        echo "skipped: ThreadSanitizer does not start here"
        exit 77
    }
}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
set -ex
$still "$vklm" synth --preset tiny-moe --out "$place/model"
$still "$vklm" pack "$place/model" --out "$place/q8" --weights q8
$still "$vklm" info "$place/q8" --verify
if $still "$vklm" devices >/dev/null 2>&1; then
    $still "$vklm" run tests/data/demo-moe -p 'A small' -n 8 --weights q4 --self-test always
    $still "$vklm" run tests/data/demo-dense -p 'A small' -n 8 --weights q8 --cache "$place/copies"
else
    echo "no Vulkan device: no model was loaded"
fi
