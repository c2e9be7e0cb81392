# Removal, last
# shellcheck shell=sh disable=SC2016

check uninstall-from-terminal 'change root agent uninstall limit=300' '^nothing of it is left$' \
    '"$RUSSET" agent uninstall --wait 2>said; code=$?; cat said
     # What stays is named: the records of macOS at least.
     [ $code = 0 ] && grep -q "^Left on this machine:" said || exit 1
     left=
     for place in /opt/russet /Library/LaunchDaemons/dev.russet.agent.plist /var/db/russet \
         /Library/LaunchAgents/dev.russet.menubar.plist /Library/Preferences/dev.russet.agent/machine.json \
         /var/log/russet-install.log /Library/Logs/Russet; do [ ! -e $place ] || left="$left $place"; done
     ! pgrep -x russet-menubar || left="$left a-companion"
     ! pkgutil --pkgs | grep "^dev\.russet\." || left="$left a-receipt"
     ! dscl . -read /Groups/_developer GroupMembership | grep "_russet[0-9]" || left="$left a-membership"
     users=$(dscl . -list /Users | grep "^_russet[0-9]" || :)
     if [ -z "$left$users" ]; then echo nothing of it is left; else echo "left: $left $users"; fi'
