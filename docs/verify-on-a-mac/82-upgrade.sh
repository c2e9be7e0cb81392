# Upgrading by package
# shellcheck shell=sh disable=SC2016

check upgrade-keeps-a-pause 'change root agent package limit=1200' '^still paused by a person$' \
    '"$RUSSET" agent pause --reason verify-on-a-mac
     installer -pkg "$RUSSET_PKG" -target / || { "$RUSSET" agent resume; exit 1; }
     "$RUSSET" agent status | tee after
     "$RUSSET" agent resume
     grep -q "verify-on-a-mac" after && echo still paused by a person'

check upgrade-over-a-long-task 'change root agent package class limit=1500' '^the task ended well, the pause stayed, and nothing is held$' \
    '"$tools/submit" long "$RUSSET_CLASS" <<STEPS >submitted 2>&1 &
- run: {command: sleep 720; echo slept, no_output_timeout: 20m}
STEPS
     watcher=$!; sleep 20
     "$RUSSET" agent pause --reason verify-on-a-mac
     before=$(date +%s)
     installer -pkg "$RUSSET_PKG" -target / || { "$RUSSET" agent resume; exit 1; }
     took=$(($(date +%s) - before)); echo "the installation took $took s"
     [ "$took" -lt 120 ] || { "$RUSSET" agent resume; exit 1; }
     "$RUSSET" agent status; tail -n 20 /var/log/russet-install.log
     wait $watcher || { cat submitted; "$RUSSET" agent resume; exit 1; }
     second=0
     while [ -e /opt/russet/arrived ] || [ -e /opt/russet/incoming/complete ]; do
         second=$((second + 1)); [ $second -lt 400 ] || { "$RUSSET" agent status; "$RUSSET" agent resume; exit 1; }
         sleep 1
     done
     "$RUSSET" agent status | tee after
     "$RUSSET" agent resume
     grep -q "pause by a person: verify-on-a-mac" after || exit 1
     if "$RUSSET" agent status | grep -E " by (a person|an installer)"; then exit 1; fi
     echo the task ended well, the pause stayed, and nothing is held'

check upgrade-puts-all-in-place 'agent package' '^bundle and package say [0-9.]+$' \
    'wanted=$(basename "$RUSSET_PKG" .pkg); wanted=${wanted#Russet-}
     bundle=$(plutil -extract CFBundleShortVersionString raw /opt/russet/RussetAgent.app/Contents/Info.plist)
     ls -le /opt/russet
     [ ! -e /opt/russet/arrived ] && [ "$bundle" = "$wanted" ] && echo "bundle and package say $bundle"'

check receipt-after-an-update 'agent updated' '^the bundle says [0-9.]+, the receipt [0-9.]+$' \
    'bundle=$(plutil -extract CFBundleShortVersionString raw /opt/russet/RussetAgent.app/Contents/Info.plist)
     receipt=$(pkgutil --pkg-info dev.russet.agent.pkg | sed -n "s/^version: //p")
     echo "the bundle says $bundle, the receipt $receipt"'
