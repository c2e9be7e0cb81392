# After a restart of the Mac
# shellcheck shell=sh disable=SC2016

check comes-back-after-a-reboot 'agent rebooted' 'state = running' \
    'launchctl print system/dev.russet.agent | grep "state ="; fdesetup status'

# Another runner that was only booted out comes back with the Mac.
check no-other-runner-after-a-reboot 'agent rebooted' '^ours alone$' \
    '"$RUSSET" agent doctor --output json >said || [ $? -ge 20 ]
     if grep "\"other runner\"" said; then grep "runner is loaded\|runner starts" said; else echo ours alone; fi'

check companion-after-a-reboot 'companion gui rebooted' '^ *1$' 'pgrep -x -u "$screen" russet-menubar | wc -l'
