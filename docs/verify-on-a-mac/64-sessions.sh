# Sessions and simulators
# shellcheck shell=sh disable=SC2016

# Who is logged in at the screen.
screen=$(stat -f %u /dev/console 2>/dev/null || echo 0)
export screen

check asuser-keeps-root 'root gui' '^0$' 'launchctl asuser "$screen" id -u'

check asuser-reaches-the-session 'root gui' '^Aqua$' 'launchctl asuser "$screen" launchctl managername'

check gui-domain-tells-login gui '^0 [1-9][0-9]*$' \
    'launchctl print "gui/$screen" >/dev/null; here=$?
     there=0; launchctl print gui/58999 >/dev/null 2>&1 || there=$?
     echo "$here $there"'

check session-services-form gui '^[[:space:]]+[0-9]+ +[-0-9]+ +com\.apple\.(Finder|Dock)' \
    'launchctl print "gui/$screen" | sed -n "/services = {/,/}/p" | tr "\t" " "'

check simulators-listed xcode '^== Devices ==' 'xcrun simctl list devices'
