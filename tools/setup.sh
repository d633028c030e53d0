# Sourced by tools/quickstart and tools/test: the packages that vklm is built from, and the build.
#
# A probe decides, not the package manager's memory: what was installed by hand counts too.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }

has_header() { # has_header PACKAGE HEADER: includes HEADER with the flags of a pkg-config PACKAGE, or with none
    flags=$([ "$1" = - ] || pkg-config --cflags "$1" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # flags are words
    printf '#include <%s>\n' "$2" | cc $flags -E -x c - >/dev/null 2>&1
}

has_driver() {
    for file in /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json \
        "${VK_ICD_FILENAMES:-}" "${VK_DRIVER_FILES:-}"; do
        [ -e "$file" ] && return 0
    done
    return 1
}

has_validation() {
    for folder in /usr/share /etc /usr/local/share; do
        [ -e "$folder/vulkan/explicit_layer.d/VkLayer_khronos_validation.json" ] && return 0
    done
    return 1
}

# needed WHAT: one line per need: a probe | Debian and Ubuntu | Fedora | Arch
needed() {
    cat <<'NEEDS'
command -v cc              | gcc libc6-dev         | gcc                            | gcc
command -v cmake           | cmake                 | cmake                          | cmake
command -v ninja           | ninja-build           | ninja-build                    | ninja
command -v pkg-config      | pkg-config            | pkgconf-pkg-config             | pkgconf
command -v glslc           | glslc                 | glslc                          | shaderc
has_header - vulkan/vulkan.h | libvulkan-dev       | vulkan-headers vulkan-loader-devel | vulkan-headers vulkan-icd-loader
has_header - volk.h        | libvulkan-volk-dev    | vulkan-volk-devel              | volk
has_header libcjson cjson/cJSON.h | libcjson-dev   | cjson-devel                    | cjson
has_header libedit histedit.h | libedit-dev        | libedit-devel                  | libedit
has_driver                 | mesa-vulkan-drivers   | mesa-vulkan-drivers            | vulkan-swrast
NEEDS
    [ "$1" = tests ] && cat <<'NEEDS'
pkg-config --exists criterion | libcriterion-dev   | criterion-devel                | criterion
has_validation             | vulkan-validationlayers | vulkan-validation-layers     | vulkan-validation-layers
command -v clang           | clang libclang-rt-dev | clang compiler-rt              | clang compiler-rt
command -v clang-format-14 || command -v clang-format | clang-format-14 | clang-tools-extra | clang
command -v c++             | g++                   | gcc-c++                        | gcc
command -v spirv-val       | spirv-tools           | spirv-tools                    | spirv-tools
NEEDS
    return 0
}

# Prints the packages of column $2 (2: Debian, 3: Fedora, 4: Arch) that $1 lacks.
missing() {
    needed "$1" | while IFS= read -r line; do
        probe=$(say "$line" | sed 's/ *| *[^|]*| *[^|]*| *[^|]*$//')
        eval "$probe" >/dev/null 2>&1 || say "$line" | awk -F ' *[|] +' -v back="$((5 - $2))" \
            '{ sub(/ +$/, "", $(NF - back + 1)); printf "%s ", $(NF - back + 1) }'
    done
}

# setup program|tests: installs what is missing where it can, and says what it does.
setup() {
    packages=$(missing "$1" 2)
    if [ -z "$packages" ]; then
        say "Everything that vklm is built from is here."
    elif command -v apt-get >/dev/null; then
        sudo=
        [ "$(id -u)" = 0 ] || sudo="sudo -n"
        say "Installing with apt: $packages"
        # shellcheck disable=SC2086 # packages are words
        if ! { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq \
            --no-install-recommends $packages >/dev/null; }; then
            say "That did not work; run this line and try again:"
            say "  sudo apt-get update && sudo apt-get install -y $packages"
            exit 1
        fi
    else
        say "Some packages are missing. Install them, then run this again:"
        say "  Fedora: sudo dnf install -y $(missing "$1" 3)"
        say "  Arch:   sudo pacman -S --needed $(missing "$1" 4)"
        say "  Debian, Ubuntu: sudo apt-get install -y $packages"
        exit 1
    fi
}

# build FOLDER [CMAKE_OPTION...]
build() {
    folder=$1
    shift
    say "Building in $folder/"
    mkdir -p "$folder"
    log=$folder/build.log
    cmake -S . -B "$folder" -G Ninja "$@" >"$log" 2>&1 && ninja -C "$folder" >>"$log" 2>&1 || {
        tail -n 40 "$log"
        say "The build failed; all of it is in $log"
        exit 1
    }
}
