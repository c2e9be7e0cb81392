# Responsibility for questions about privacy
# shellcheck shell=sh disable=SC2016

# The process that macOS asks about privacy on behalf of another one.
responsible_pid='responsible_pid() { launchctl procinfo "$1" | sed -n "s/^[[:space:]]*responsible pid = \([0-9]*\).*/\1/p" | head -n 1; }
     task_agent() { for user in $(dscl . -list /Users | grep "^_russet[0-9]"); do pgrep -u "$user" -f task-agent | head -n 1; done | head -n 1; }'

check daemon-answers-for-itself 'root agent' '^russet-boot$' \
    "$responsible_pid"'
     agent=$(pgrep -f "russet agent run" | head -n 1); basename "$(ps -o comm= -p "$(responsible_pid "$agent")")"'

check job-answers-for-itself 'change root agent class limit=300' '^the task agent answers for the step$' \
    "$responsible_pid"'
     "$tools/submit" answers "$RUSSET_CLASS" <<STEPS >submitted 2>&1 &
- run: sleep 60
STEPS
     watcher=$!
     second=0; while [ -z "$(task_agent)" ] || ! pgrep -P "$(task_agent)" >/dev/null; do second=$((second + 1)); [ $second -lt 90 ] || { cat submitted; exit 1; }; sleep 1; done
     agent=$(task_agent) step=$(pgrep -P "$(task_agent)" | head -n 1)
     found=$(responsible_pid "$step"); ps -o pid=,comm= -p "$found"
     if [ "$found" = "$agent" ]; then echo the task agent answers for the step; else echo "process $found does, and not the task agent $agent"; fi
     kill $watcher'

check job-asks-for-events 'change agent class limit=300' '(answered by Finder|-1743|-600|-10810)' \
    '"$tools/submit" events "$RUSSET_CLASS" <<STEPS
- run: osascript -e "tell application \"Finder\" to get name of startup disk" && echo answered by Finder || true
STEPS'
