# The menu bar
# shellcheck shell=sh disable=SC2016

check menubar-runs 'companion gui' '^ *1$' 'pgrep -x -u "$screen" russet-menubar | wc -l'

check menubar-is-no-dock-app companion '^true$' \
    'plutil -extract LSUIElement raw /opt/russet/Russet.app/Contents/Info.plist'
