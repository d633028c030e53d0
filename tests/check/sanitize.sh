#!/bin/sh
# Host and model tests under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
#
#   tests/check/sanitize.sh BUILD_FOLDER
cd "$(dirname "$0")/../.." || exit 2
mkdir -p "$1"
cmake -S . -B "$1" -G Ninja -DVKLM_SANITIZE=ON -DVKLM_DRIVERS= >"$1.log" 2>&1 && ninja -C "$1" >>"$1.log" 2>&1 || {
    tail -n 60 "$1.log"
    exit 1
}
# model.quality measures weights, minutes of it under a sanitizer; other tests run the same code.
ctest --test-dir "$1" -L 'host|model' -LE 'check|big' -E '^model\.quality$' --output-on-failure
