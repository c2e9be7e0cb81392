# Removal, last
# shellcheck shell=sh disable=SC2016

check uninstall-from-terminal 'change root agent uninstall limit=300' '^nothing of it is left$' \
    '"$RUSSET" agent uninstall --wait
     left=
     for place in /opt/russet /Library/LaunchDaemons/dev.russet.agent.plist /var/db/russet; do [ ! -e $place ] || left="$left $place"; done
     users=$(dscl . -list /Users | grep "^_russet[0-9]" || :)
     if [ -z "$left$users" ]; then echo nothing of it is left; else echo "left: $left $users"; fi'
