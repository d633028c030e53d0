#!/bin/sh
# The device tests on one more Vulkan driver.
#
#   tests/drivers.sh BUILD_FOLDER ROW [DRIVERS_FOLDER]
#
# DRIVERS_FOLDER holds drivers that were unpacked without being installed: swiftshader.json, lavapipe25.json,
# bin/with-lavapipe26. Exit status 77: the driver is not there, and the line says why.
set -u
build=$1 row=$2 drivers=${3:-}
skip() {
    echo "skipped: $row: $1"
    exit 77
}
[ -n "$drivers" ] || skip "no folder of drivers was given (VKLM_DRIVERS)"
case "$row" in
swiftshader | lavapipe25)
    [ -e "$drivers/$row.json" ] || skip "$drivers/$row.json is not there"
    VK_DRIVER_FILES=$drivers/$row.json VK_ICD_FILENAMES=$drivers/$row.json
    export VK_DRIVER_FILES VK_ICD_FILENAMES
    with=
    ;;
*) skip "no such row" ;;
esac
"$build/vklm" devices || exit 1
exec ctest --test-dir "$build" -L device -LE 'big|drivers|check' --output-on-failure
