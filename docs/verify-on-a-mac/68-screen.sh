# Setting the screen up
# shellcheck shell=sh disable=SC2016

check console-session-form gui '^[1-9][0-9]*$' \
    'ioreg -n Root -d1 -a | plutil -extract IOConsoleUsers.0.kCGSSessionUserIDKey raw -'

check locked-screen-is-seen 'eyes gui limit=120' '^seen locked$' \
    'echo "Lock the screen now (Control-Command-Q), and unlock it after ten seconds." >/dev/tty
     for _ in $(seq 1 60); do
         if ioreg -n Root -d1 -a | plutil -extract IOConsoleUsers.0.CGSSessionScreenIsLocked raw - 2>/dev/null | grep -Eq "true|1"; then
             echo seen locked; exit 0
         fi
         sleep 1
     done'

check screen-lock-form gui 'screenLock (is off|delay is )' 'sysadminctl -screenLock status 2>&1'

check automation-mode-form - '(DOES NOT REQUIRE|REQUIRES|requires) user authentication' \
    'automationmodetool 2>&1 || :'

check display-stays-on - 'caffeinate.*UserIsActive' \
    'sleep 3 | caffeinate -disu /bin/cat &
     sleep 1
     pmset -g assertions >held.txt
     wait
     grep "caffeinate.*PreventUserIdleDisplaySleep" held.txt && grep "caffeinate.*UserIsActive" held.txt'

check gui-setup-and-again 'change root gui-account limit=300' '^set up$' \
    '"$RUSSET" agent gui setup --user "$RUSSET_GUI_USER" --from "$RUSSET_GUI_PASSWORD" --output json >first.json || :
     cat first.json
     "$RUSSET" agent gui setup --user "$RUSSET_GUI_USER" --from "$RUSSET_GUI_PASSWORD" --output json >second.json || :
     if grep -Eq "\"(failed|done|planned)\"" second.json; then cat second.json; else echo set up; fi'

check logged-in-after-a-reboot 'gui-account rebooted' '^logged in by itself$' \
    'if [ "$(stat -f %Su /dev/console)" = "$RUSSET_GUI_USER" ]; then echo logged in by itself; else stat -f %Su /dev/console; fi'
