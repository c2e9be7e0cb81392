# Restarts with a task
# shellcheck shell=sh disable=SC2016

# Process id of a task agent that runs on this machine, or nothing.
task_pid='task_pid() { for user in $(dscl . -list /Users | grep "^_russet[0-9]"); do pgrep -u "$user" -f task-agent | head -n 1; done | head -n 1; }'

check restart-keeps-a-task 'change root agent class limit=300' '^the task goes on and ends well$' \
    "$task_pid"'
     "$tools/submit" restart "$RUSSET_CLASS" <<STEPS >submitted 2>&1 &
- run: sleep 60; echo slept
STEPS
     watcher=$!
     second=0; while [ -z "$(task_pid)" ]; do second=$((second + 1)); [ $second -lt 60 ] || { cat submitted; exit 1; }; sleep 1; done
     before=$(task_pid); "$RUSSET" agent restart >restarted 2>&1 || { cat restarted; exit 1; }
     sleep 5; cat restarted
     grep -Eq "tasks? in slots? .* go(es)? on" restarted || { echo "it does not say what becomes of the task"; exit 1; }
     [ "$(task_pid)" = "$before" ] || { echo "the task agent $before is gone"; exit 1; }
     wait $watcher && echo the task goes on and ends well'

check restart-over-a-cut-session 'change ssh agent limit=180' '^the agent is there$' \
    '/opt/russet/bin/russet agent restart >/dev/null 2>&1 & session=$!
     sleep 1; kill -HUP $session; wait $session
     # Without the copy of the file that was loaded, the job is forgotten and loaded again.
     sleep 60; rm -f /var/db/russet/job.plist
     /opt/russet/bin/russet agent restart >/dev/null 2>&1 & session=$!
     sleep 1; kill -KILL $session; wait $session
     sleep 100
     launchctl print system/dev.russet.agent | grep "state = running" && echo the agent is there'

check restart-is-one-step 'change root agent limit=240' '^the job stayed loaded$' \
    'runs() { launchctl print system/dev.russet.agent | sed -n "s/^[[:space:]]*runs = //p" | head -n 1; }
     "$RUSSET" agent restart && before=$(runs) && "$RUSSET" agent restart && after=$(runs)
     echo "runs: $before, then $after"
     [ "$after" -gt "$before" ] && echo the job stayed loaded'
