#!/bin/sh
# shaders/prebuilt holds the coop tier's SPIR-V for compilers that cannot make it; sources.sha256 beside it says of
# which sources, includes and all, it was made. Both must be what is there.
#
#   tests/check/prebuilt.sh           fails when a source has changed since, or a file was altered
#   tests/check/prebuilt.sh --renew   writes the sums: what `ninja vklm_prebuilt` does after compiling. That target
#                                     exists where glslc knows GL_KHR_cooperative_matrix (-DGLSLC=PATH chooses one).
#
# With VKLM_SPIRV_VAL, a spirv-val that knows the extension, the files are validated too.
cd "$(dirname "$0")/../../shaders" || exit 2
export LC_ALL=C

# The sources, one a line: kernels, what they include, what that includes.
sources() {
    list=$(ls ./*_coop.comp ./bench/*_coop.comp)
    while :; do
        # shellcheck disable=SC2086 # names are words
        more=$({
            echo "$list"
            sed -n 's/^#include "\(.*\)"/.\/\1/p' $list
        } | sort -u)
        [ "$more" = "$list" ] && break
        list=$more
    done
    echo "$list"
}

sums() {
    # shellcheck disable=SC2046
    sha256sum $(sources) ./prebuilt/*.spv
}

if [ "${1:-}" = --renew ]; then
    sums >prebuilt/sources.sha256
    exit
fi
for spirv in prebuilt/*.spv; do
    [ -z "${VKLM_SPIRV_VAL:-}" ] || "$VKLM_SPIRV_VAL" --target-env vulkan1.2 "$spirv" || exit 1
done
sums | diff prebuilt/sources.sha256 - || {
    echo "shaders/prebuilt is not made of these sources: with a newer glslc, ninja vklm_prebuilt (see README)"
    exit 1
}
