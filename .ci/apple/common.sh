# Shared by the scripts beside it: where things are kept, and how failure is said.
# Sourced, never run.
# shellcheck shell=bash

# Everything that is downloaded or generated lives here, outside the checkout.
apple_dir=${RUSSET_APPLE_DIR:-$HOME/.cache/russet-apple}
# What cargo builds. A folder of its own: the compiler is not the machine's own.
apple_target=${RUSSET_APPLE_TARGET:-$apple_dir/target}
toolchain_dir=$apple_dir/toolchain
sdk_dir=$apple_dir/sdk

# The oldest systems we promise: the first macOS on Apple silicon, and 10.15 on Intel.
declare -A minimum=([aarch64]=11.0 [x86_64]=10.15)

say() { printf 'apple: %s\n' "$*" >&2; }

# die WHAT [HINT]: one line of what happened, one of what to do.
die() {
    say "error: $1"
    [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2
    exit 1
}

need() { command -v "$1" >/dev/null || die "\`$1\` is not installed" "$2"; }

# Puts the unpacked toolchain first. rustc finds its sysroot relative to itself, so
# nothing is installed and the machine's own Rust stays as it was.
use_toolchain() {
    [ -f "$toolchain_dir/complete" ] || die "there is no toolchain in $toolchain_dir" "run .ci/apple/toolchain"
    local root=$toolchain_dir/root
    export PATH=$root/usr/bin:$PATH
    export LD_LIBRARY_PATH=$root/usr/lib/$(uname -m)-linux-gnu:$root/usr/lib/llvm-22/lib
}
