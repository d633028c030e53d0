#!/bin/sh
# Every C file is as clang-format 14 leaves it (.clang-format). Another version formats differently: then the
# check is skipped (77) and says so.
#
#   tests/check/format.sh [--fix]
cd "$(dirname "$0")/../.." || exit 2
format=$(command -v clang-format-14 || command -v clang-format) || {
    echo "skipped: no clang-format"
    exit 77
}
case "$("$format" --version)" in
*"version 14."*) ;;
*)
    echo "skipped: $("$format" --version), the project is formatted with 14"
    exit 77
    ;;
esac
files=$(find src include tools tests shaders -name '*.[ch]')
# shellcheck disable=SC2086 # files are words
if [ "${1:-}" = --fix ]; then
    exec "$format" -i $files
fi
# shellcheck disable=SC2086
"$format" --dry-run -Werror $files 2>&1 | grep -E 'error:' | head -n 20 | grep . && {
    echo "tests/check/format.sh --fix mends it"
    exit 1
}
exit 0
