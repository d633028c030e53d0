#!/bin/sh
# The whole project builds with clang without a warning.
#
#   tests/check/clang.sh BUILD_FOLDER
cd "$(dirname "$0")/../.." || exit 2
command -v clang >/dev/null || {
    echo "skipped: no clang"
    exit 77
}
CC=clang cmake -S . -B "$1" -G Ninja -DVKLM_WERROR=ON >"$1.log" 2>&1 && ninja -C "$1" >>"$1.log" 2>&1 && exit 0
tail -n 60 "$1.log"
exit 1
