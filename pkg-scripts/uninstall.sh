#!/bin/sh
# Removes Russet. All that is done is done by `russet agent uninstall`, which knows what was
# installed; `--help` shows its options.
set -eu
PATH=/usr/bin:/bin:/usr/sbin:/sbin
export PATH

# Empty: tests put a directory of theirs here.
root=''

russet=$root/opt/russet/RussetAgent.app/Contents/MacOS/russet
if [ ! -x "$russet" ]; then
    echo "error: $russet is not there" >&2
    echo '  hint: install the package of any version again, then run this' >&2
    exit 1
fi
exec "$russet" agent uninstall "$@"
