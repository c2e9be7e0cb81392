# The service
# shellcheck shell=sh disable=SC2016

check service-file agent ': OK$' 'plutil -lint /Library/LaunchDaemons/dev.russet.agent.plist'

check service-job agent 'state = running' \
    'launchctl print system/dev.russet.agent | grep -E "state =|exit timeout|spawn type|runs =|last exit"'

check service-bundle-exchange change '^exchanged$' \
    'mkdir swap-a swap-b
     a=$(stat -f "%i %Fm" swap-a) b=$(stat -f "%i %Fm" swap-b)
     perl -e "syscall(488, -2, my \$a = q(swap-a), -2, my \$b = q(swap-b), 2) == 0 or die \$!"
     [ "$(stat -f "%i %Fm" swap-a)" = "$b" ] && [ "$(stat -f "%i %Fm" swap-b)" = "$a" ] && echo exchanged'

check service-comes-back 'change root agent' '^it came back$' \
    'before=$(pgrep -x russet-boot)
     kill -9 "$before"
     for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
         sleep 1
         now=$(pgrep -x russet-boot || :)
         [ -z "$now" ] || [ "$now" = "$before" ] || { echo it came back; break; }
     done'

check service-leaves-tasks 'change root agent' '^(the task goes on|no task runs)$' \
    'task=
     for user in $(dscl . -list /Users | grep "^_russet"); do task=${task:-$(pgrep -u "$user" -f task-agent | head -n 1)}; done
     if [ -z "$task" ]; then echo no task runs; exit; fi
     launchctl kickstart -k system/dev.russet.agent
     sleep 20
     kill -0 "$task" && echo the task goes on'
