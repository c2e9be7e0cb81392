#!/bin/sh
# Puts a Rust toolchain that this task can reach into the PATH of the steps that follow; without one
# the job ends well, after it said what to do.
set -u

# The registry has to be writable, which the toolchain's own home is not.
toolchain=${CARGO_HOME:-/usr/local/cargo}/bin
{
    printf 'export PATH="%s:/usr/local/bin:$PATH"\n' "$toolchain"
    printf 'export CARGO_HOME="$HOME/.cargo"\n'
} >> "$BASH_ENV"
PATH=$toolchain:/usr/local/bin:$PATH
export PATH CARGO_HOME="$HOME/.cargo"

if command -v cargo >/dev/null && cargo --version && cargo fmt --version && cargo clippy --version; then
    exit 0
fi
echo "There is no Rust toolchain that this task can reach: the Rust code is neither built nor tested."
echo "hint: install one in /usr/local, or set RUSTUP_HOME and CARGO_HOME to directories that every"
echo "user can read (runner.environment of the agent, or russet run --env-file)"
circleci-agent step halt
