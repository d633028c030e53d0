#!/bin/sh
# The project on one more Vulkan driver.
#
#   tests/drivers.sh BUILD_FOLDER ROW [DRIVERS_FOLDER]
#   tests/drivers.sh --rows
#   tests/drivers.sh --table BUILD_FOLDER README      writes what the last runs gave into README
#   tests/drivers.sh --compiled BUILD_FOLDER FILE     writes what the compilers made of the kernels into FILE
#
# DRIVERS_FOLDER holds drivers that were unpacked without being installed: swiftshader.json, lavapipe25.json,
# radv25.json, bin/with-lavapipe26, sid (its libraries), bin/with-intel, bin/with-nvk. Exit status 77: the driver is not there, and
# the line says why.
set -u
rows="swiftshader lavapipe25 lavapipe26
    radv-polaris10 radv-vega10 radv-vega20 radv-navi10 radv-navi21 radv-navi31 radv-gfx1151 radv-gfx1200
    intel-skl intel-tgl intel-dg2 intel-mtl intel-lnl intel-bmg
    nvk-pascal nvk-turing nvk-ampere nvk-ada"

# What a row of each kind does, for the table.
proves() {
    case "$1" in
    swiftshader | lavapipe25) echo "kernels and models: the device test suite passes" ;;
    lavapipe26) echo "self-test; greedy answers are those of the system's driver; the coop tier's tests; GPU-assisted validation of kernels and an answer" ;;
    radv-*) echo "described; every pipeline it selects compiles without spills; nothing runs, and it has no memory" ;;
    *) echo "described; a model loads; every pipeline it selects compiles without spills; nothing runs: the self-test refuses" ;;
    esac
}

# Lines between the markers of the table.
table() {
    echo "| row | device | result | what it shows |"
    echo "|---|---|---|---|"
    for row in $rows; do
        [ -f "$1/drivers/$row" ] || continue
        echo "| $row | $(sed -n 2p "$1/drivers/$row") | $(sed -n 1p "$1/drivers/$row") | $(proves "$row") |"
    done
}

# One line a device, as vkbench compile --md gives it.
compiled() {
    echo "| device | pipelines | most registers | that spill | spills | scratch | lowest occupancy | which is | f16 | q8 | q4 | q8 dot8 | q4 dot8 |"
    echo "|---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|"
    for row in $rows; do
        [ ! -f "$1/drivers/$row.md" ] || compiled_line "$1/drivers/$row.md"
    done
}
compiled_line() {
    awk '/^[|] device [|]/ { getline; getline; print }' "$1"
}

# The decode products of one GPU of each vendor; the driver's own words are in the .md files.
decode() {
    echo "| GPU | shader and constants | tier | registers | spilled | occupancy | instructions a weight | loop | loads in it |"
    echo "|---|---|---|--:|--:|--:|--:|--:|--:|"
    for row in radv-navi31 intel-dg2 nvk-ampere; do
        [ ! -f "$1/drivers/$row.md" ] || awk -F'|' -v OFS='|' -v gpu="${row#*-}" '
            /^[|] matvec(_qkv|_swiglu|_residual)?_(dot8_q8|dot8_q4|q4) / && !seen[substr($2, 1, index(substr($2, 2), " "))]++ {
                print "| " gpu " ", $2, $3, $4, $5, $6, $7, $8, $9 "|" }' "$1/drivers/$row.md"
    done
}

# Puts file $3 between the markers <!-- $1 --> of file $2.
put() {
    sed -i -e "/<!-- $1 -->/,/<!-- \/$1 -->/{//!d}" -e "/<!-- $1 -->/r $3" "$2"
}

case "${1:-}" in
--rows)
    # shellcheck disable=SC2086 # rows are words
    printf '%s\n' $rows
    exit 0
    ;;
--table)
    table "$2" >"$2/drivers/table.md"
    put drivers "$3" "$2/drivers/table.md"
    exit
    ;;
--compiled)
    compiled "$2" >"$2/drivers/compiled.table"
    put compiled "$3" "$2/drivers/compiled.table"
    decode "$2" >"$2/drivers/decode.table"
    put decode "$3" "$2/drivers/decode.table"
    exit
    ;;
esac

build=$1 row=$2 drivers=${3:-}
demo=$(cd "$(dirname "$0")" && pwd)/data/demo-dense
skip() {
    echo "skipped: $row: $1"
    exit 77
}
fail() {
    echo "$row: $1"
    exit 1
}
[ -n "$drivers" ] || skip "no folder of drivers was given (VKLM_DRIVERS)"
icd='' with=''
case "$row" in
swiftshader | lavapipe25) icd=$drivers/$row.json ;;
lavapipe26) with=$drivers/bin/with-lavapipe26 ;;
radv-*)
    icd=$drivers/radv25.json
    export RADV_FORCE_FAMILY="${row#radv-}"
    ;;
intel-*) with="$drivers/bin/with-intel ${row#intel-}" ;;
nvk-*) with="$drivers/bin/with-nvk ${row#nvk-}" ;;
*) skip "no such row" ;;
esac
file=${icd:-${with%% *}}
[ -e "$file" ] || skip "$file is not there"
answer="run $demo -p The --greedy -n 12"

on_driver() { # the program on the row's driver
    program_on_driver vklm "$@"
}
program_on_driver() {
    program=$build/$1
    shift
    if [ -n "$icd" ]; then
        VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd "$program" "$@"
    else
        $with "$program" "$@"
    fi
}

# Every pipeline that the device selects: no spills, no scratch, and where the driver shows its assembly at most so
# many instructions a weight in the innermost loops of q4, q8 dot8 and q4 dot8.
check_compile() {
    program_on_driver vkbench compile --md >"$build/drivers/$row.md" || fail "see $build/drivers/$row.md"
    case "$row" in # of other drivers either the hardware has none, or the assembly is not shown
    radv-navi31 | radv-gfx1151 | intel-dg2 | intel-lnl | intel-bmg | nvk-turing | nvk-ampere | nvk-ada)
        grep -q 'kernels for matrix units have their instructions' "$build/drivers/$row.md" ||
            fail "no kernel for matrix units was compiled"
        ;;
    esac
    case "$row" in
    radv-navi31) most="4 1.2 1.8" ;;
    radv-vega20 | radv-navi21) most="99 1.2 1.8" ;;
    intel-tgl | intel-dg2 | intel-mtl | intel-lnl | intel-bmg) most="99 1.5 2.2" ;;
    *) return ;;
    esac
    line=$(compiled_line "$build/drivers/$row.md")
    echo "$line"
    echo "$line" | awk -F'|' -v most="$most" '{ split(most, m, " "); for (i = 1; i <= 3; i++) if (!($(11 + i) > 0 && $(11 + i) <= m[i])) exit 1 }' ||
        fail "more instructions a weight than $most"
}

# Lavapipe 26 executes the coop tier. Its libraries want their own libc: the tests are linked for that.
check_coop() {
    libs=$(echo "$drivers"/sid/usr/lib/*-linux-gnu) layers=$drivers/sid/usr/share/vulkan/explicit_layer.d
    loader=$(echo "$libs"/ld-linux-*.so.*) log=$build/drivers/$row.log
    cmake -S "$(dirname "$0")/.." -B "$build/$row" -G Ninja -DVKLM_DRIVERS= "-DCMAKE_EXE_LINKER_FLAGS=-Wl,\
--dynamic-linker=$loader,--disable-new-dtags,-rpath,$libs,--allow-shlib-undefined" >"$log" &&
        ninja -C "$build/$row" test_kernels test_kernels_bounds test_kernels_coop_tiles \
            test_model_prompt_tiers test_model_self_test >>"$log" || fail "see $log"
    export VK_DRIVER_FILES="$drivers/$row.json" VK_ICD_FILENAMES="$drivers/$row.json" VK_LAYER_PATH="$layers"
    LD_LIBRARY_PATH=$libs "$build/$row/tests/test_kernels" --filter 'kernels/coop' -j2 &&
        VKLM_TEST_AS_GPU=1 LD_LIBRARY_PATH=$libs "$build/$row/tests/test_kernels" --filter 'kernels/coop' -j2 &&
        LD_LIBRARY_PATH=$libs "$build/$row/tests/test_kernels_coop_tiles" || fail "the coop tier's kernels"
    LD_LIBRARY_PATH=$libs "$build/$row/tests/test_model_prompt_tiers" || fail "the coop tier's prompts"
    LD_LIBRARY_PATH=$libs "$build/$row/tests/test_model_self_test" --filter 'self_test_coop/*' -j2 ||
        fail "wrong kernels of the coop tier"
}

# GPU-assisted validation: every address that a kernel reads or writes is checked against the buffers there are. The
# layer of Debian 12 waits for itself for ever.
check_bounds() {
    export VK_LAYER_ENABLES=VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT
    LD_LIBRARY_PATH=$libs VKLM_TEST_GPU_ASSISTED=1 "$build/$row/tests/test_kernels_bounds" 2>&1 |
        grep -q 'Passing: 1' || fail "GPU-assisted validation does not see a read past the end"
    # Without f32 and bf16, for time's sake.
    "$with" "$build/vkbench" check --validation --formats f16,q8,q4 --report "$build/drivers/$row.json" ||
        fail "GPU-assisted validation: see $build/drivers/$row.json"
    [ "$("$with" "$build/vklm" $answer --self-test never --validation)" = "$want" ] ||
        fail "GPU-assisted validation: the demo model"
    unset VK_LAYER_ENABLES
}

check() {
    on_driver devices || fail "the devices cannot be listed"
    # shellcheck disable=SC2086 # an answer's options are words
    case "$row" in
    swiftshader | lavapipe25)
        export VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd"
        # Other variants and other weights say nothing more about a driver. Of the experts' kernels SwiftShader
        # takes four minutes, of those that are wrong on purpose three: there the models speak for them.
        skipped='\.(small|as_gpu)$|^model\.(bench|full_shape|packing|quality)$'
        [ "$row" != swiftshader ] || skipped="$skipped|^kernels\.experts$|^model\.self_test$"
        ctest --test-dir "$build" -L device -LE 'big|drivers|check' -E "$skipped" --output-on-failure
        ;;
    lavapipe26)
        want=$("$build/vklm" $answer --self-test never 2>/dev/null) || fail "the system's driver fails"
        got=$(on_driver $answer --self-test always) || fail "it cannot run the demo model"
        [ "$got" = "$want" ] || fail "it answers '$got', the system's driver '$want'"
        check_coop
        check_bounds
        ;;
    radv-*) check_compile ;;
    *)
        check_compile
        on_driver $answer --self-test never >/dev/null || fail "the demo model cannot be opened"
        if on_driver $answer --self-test always >"$build/drivers/$row.log" 2>&1 ||
            ! grep -q 'fails the self-test' "$build/drivers/$row.log"; then
            fail "the self-test does not notice that nothing runs"
        fi
        ;;
    esac
}

mkdir -p "$build/drivers"
device=$(on_driver devices 2>/dev/null | sed -n '1s/^0: \(.*\), Vulkan .*/\1/p')
result=failed
if (check); then
    result=passed
fi
printf '%s\n%s\n' "$result" "$device" >"$build/drivers/$row"
[ "$result" = passed ]
