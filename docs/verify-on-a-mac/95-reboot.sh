# After a restart of the Mac
# shellcheck shell=sh disable=SC2016

check comes-back-after-a-reboot 'agent rebooted' 'state = running' \
    'launchctl print system/dev.russet.agent | grep "state ="; fdesetup status'

check companion-after-a-reboot 'companion gui rebooted' '^ *1$' 'pgrep -x -u "$screen" russet-menubar | wc -l'
