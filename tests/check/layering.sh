#!/bin/sh
# Who may include whom, and what else can be read off the text: rooms, sizes, names. Prints every breach.
#
#   tests/check/layering.sh
cd "$(dirname "$0")/../.." || exit 2
breaches=$(
    # Rooms of src/ and tools/, and the rooms that each may include. '.' is the room itself.
    while read -r room may; do
        for file in "$room"/*.[ch]; do
            [ -e "$file" ] || continue
            sed -n 's/^# *include *"\([^"]*\)".*/\1/p' "$file" | while read -r included; do
                case "$included" in
                */*) other=${included%%/*} ;;
                *) other=$included ;;
                esac
                case " $may ${room##*/} " in
                *" $other "*) ;;
                *) echo "$file includes \"$included\": $room may include only ${room##*/} $may" ;;
                esac
            done
        done
    done <<'ROOMS'
src/base
src/text base
src/checkpoint base
src/quant base
src/gpu base args.h shader_arrays.inc shader_table.inc
src/ops base quant gpu args.h
src/model base quant checkpoint gpu ops
src/engine base text checkpoint quant gpu model
tools/vklm base
tools/vkbench base quant checkpoint gpu ops model kernels args.h
ROOMS
    # The public headers stand on the C library and on each other.
    grep -nE '^# *include' include/vklm/*.h | grep -vE '<(vklm/[a-z]+|stdbool|stddef|stdint)\.h>' |
        sed 's/$/: a public header may include only the C library and vklm/'
    # Vulkan is known in src/gpu alone.
    grep -nE '^# *include *[<"](vulkan|volk)' src/*/*.[ch] include/vklm/*.h tools/*/*.[ch] | grep -v '^src/gpu/' |
        sed 's/$/: Vulkan outside src\/gpu/'
    # The library is quiet and never ends the process.
    grep -nwE '(getenv|exit|_exit|abort|printf|puts|putchar|fprintf|stderr|stdout) *[(,;]' src/*/*.[ch] | grep -v 'format(printf' |
        sed 's/$/: the library never prints, exits or reads the environment/'
    # Sizes.
    for file in src/*/*.[ch] tools/*/*.[ch] include/vklm/*.h tests/*/*.[ch]; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 800 ] || echo "$file: $lines lines, more than 800"
    done
    for file in shaders/*.comp shaders/*.glsl shaders/*/*.glsl; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 300 ] || echo "$file: $lines lines, more than 300"
    done
    awk 'FNR == 1 { start = 0 } /^\{/ { start = FNR }
        /^\}/ { if (start && FNR - start > 120) printf "%s:%d: a function of %d lines, more than 120\n", FILENAME, start, FNR - start; start = 0 }' \
        src/*/*.c tools/*/*.c
    # The names of every symbol that is not static begin with vklm_.
    for object in $(find "${1:-build}/CMakeFiles" "${1:-build}/tools/CMakeFiles" -path '*vklm_*.dir*' -name '*.c.o' -path '*src*' 2>/dev/null); do
        nm --defined-only --extern-only "$object" | awk -v o="$object" '$2 ~ /[TDBR]/ && $3 !~ /^(vklm_|vk[A-Z]|volk|main$|__)/ { print o ": symbol " $3 " does not begin with vklm_" }'
    done
    # The top level.
    for entry in $(git ls-tree --name-only HEAD 2>/dev/null); do
        case "$entry" in
        CMakeLists.txt | src | shaders | include | tests | tools | README.md | LICENSE | .*) ;;
        *) echo "$entry does not belong to the top level" ;;
        esac
    done
)
[ -z "$breaches" ] && exit 0
printf '%s\n' "$breaches"
exit 1
