#!/bin/sh
# What `cmake --install` puts in place can be found by pkg-config, and used from C and from C++.
#
#   tests/check/install.sh BUILD_FOLDER
cd "$(dirname "$0")/../.." || exit 2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
set -e
cmake --install "$1" --prefix "$place" >/dev/null
"$place/bin/vklm" --version
PKG_CONFIG_PATH=$(dirname "$(find "$place" -name vklm.pc)")
export PKG_CONFIG_PATH
cat >"$place/use.c" <<'C'
#include <vklm/vklm.h>
#include <stdio.h>
int main(void)
{
    vklm_tokenizer *tokenizer;
    if (vklm_tokenizer_open("/nowhere", &tokenizer) == VKLM_OK)
        return 1;
    printf("%s: %s\n", vklm_version(), vklm_error_message());
    return 0;
}
C
cp "$place/use.c" "$place/use.cpp"
flags=$(pkg-config --cflags --libs --static vklm)
# shellcheck disable=SC2086 # flags are words
cc -std=c11 -Wall -Wextra -Werror "$place/use.c" -o "$place/use-c" $flags && "$place/use-c"
for header in "$place"/include/vklm/*.h; do # each alone, in both languages
    printf '#include <vklm/%s>\n' "${header##*/}" >"$place/one.c"
    cc -std=c11 -Wall -Wextra -Werror -I"$place/include" -c "$place/one.c" -o "$place/one.o"
    cc -std=c++11 -x c++ -Wall -Wextra -Werror -I"$place/include" -c "$place/one.c" -o "$place/one.o" 2>"$place/log" || {
        grep -q cc1plus "$place/log" && echo "no C++ compiler: C only" && break
        cat "$place/log"
        exit 1
    }
done
if command -v c++ >/dev/null; then
    # shellcheck disable=SC2086
    c++ -std=c++11 -Wall -Wextra -Werror "$place/use.cpp" -o "$place/use-cpp" $flags && "$place/use-cpp"
fi
