# Upgrading by package
# shellcheck shell=sh disable=SC2016

check upgrade-keeps-a-pause 'change root agent package limit=1200' '^still paused by a person$' \
    '"$RUSSET" agent pause --reason verify-on-a-mac
     installer -pkg "$RUSSET_PKG" -target / || { "$RUSSET" agent resume; exit 1; }
     "$RUSSET" agent status | tee after
     "$RUSSET" agent resume
     grep -q "verify-on-a-mac" after && echo still paused by a person'

check upgrade-over-a-long-task 'change root agent package class limit=1500' '^the task ended well and the agent takes tasks$' \
    '"$tools/submit" long "$RUSSET_CLASS" <<STEPS >submitted 2>&1 &
- run: {command: sleep 720; echo slept, no_output_timeout: 20m}
STEPS
     watcher=$!; sleep 20
     installer -pkg "$RUSSET_PKG" -target / & upgrade=$!
     wait $watcher || { cat submitted; exit 1; }
     wait $upgrade || exit 1
     sleep 30
     if "$RUSSET" agent status | grep -Eiq "paused|drain"; then "$RUSSET" agent status; exit 1; fi
     echo the task ended well and the agent takes tasks'

check receipt-after-an-update 'agent updated' '^the bundle says [0-9.]+, the receipt [0-9.]+$' \
    'bundle=$(plutil -extract CFBundleShortVersionString raw /opt/russet/RussetAgent.app/Contents/Info.plist)
     receipt=$(pkgutil --pkg-info dev.russet.agent.pkg | sed -n "s/^version: //p")
     echo "the bundle says $bundle, the receipt $receipt"'
