# Reruns with SSH
# shellcheck shell=sh disable=SC2016

check ssh-session 'change root agent ssh-class limit=500' '^a terminal of its own, and nothing is left$' \
    '"$tools/submit" ssh "$RUSSET_SSH_CLASS" <<STEPS || exit 1
- run: "true"
STEPS
     ssh-keygen -q -N "" -t ed25519 -f "$here/ssh-key" || exit 1
     "$RUSSET" job rerun --ssh --key "$here/ssh-key.pub" -o json "$(cat "$here/submit-ssh.job")" >"$here/ssh-rerun.json" || exit 1
     job=$(sed -n "s/^ *\"id\": \"\([^\"]*\)\",*$/\1/p" "$here/ssh-rerun.json" | sed -n 2p)
     call() { "$RUSSET" job ssh "$job" -- -i "$here/ssh-key" -o IdentitiesOnly=yes "$@" </dev/null; }
     said=$(call -tt "stty rows 30 cols 90; stty size; tty; seq 1 20000 | tail -n 1; exit 7"); code=$?
     echo "$said"; [ $code = 7 ] || { echo "the exit status is $code"; exit 1; }
     echo "$said" | grep -q "^30 90" || exit 1
     echo "$said" | grep -q "^/dev/ttys" || exit 1
     echo "$said" | grep -q "^20000" || exit 1
     [ "$(head -c 50000000 /dev/zero | "$RUSSET" job ssh "$job" -- -i "$here/ssh-key" -o IdentitiesOnly=yes "cat" | wc -c | tr -d " ")" = 50000000 ] ||
         { echo "50 MB did not come back"; exit 1; }
     call "nohup sleep 9876 >/dev/null 2>&1 </dev/null & echo left"
     pgrep -f "sleep 9876" >/dev/null || { echo "it was not left"; exit 1; }
     "$RUSSET" job ssh "$job" --end || exit 1
     second=0
     while pgrep -f "sleep 9876" >/dev/null; do
         second=$((second + 1)); [ $second -lt 60 ] || { echo "it still runs"; exit 1; }; sleep 1
     done
     echo a terminal of its own, and nothing is left'

check ssh-port 'change root agent ssh-class ssh-port limit=500' '^the port is closed again$' \
    '"$tools/submit" port "$RUSSET_SSH_CLASS" <<STEPS || exit 1
- run: "true"
STEPS
     rm -f "$here/port-key" "$here/port-key.pub"; ssh-keygen -q -N "" -t ed25519 -f "$here/port-key" || exit 1
     ! nc -z -G 2 "$RUSSET_SSH_HOST" "$RUSSET_SSH_PORT" || { echo "the port is open before"; exit 1; }
     "$RUSSET" job rerun --ssh --key "$here/port-key.pub" -o json "$(cat "$here/submit-port.job")" >"$here/port-rerun.json" || exit 1
     job=$(sed -n "s/^ *\"id\": \"\([^\"]*\)\",*$/\1/p" "$here/port-rerun.json" | sed -n 2p)
     user=$("$RUSSET" job ssh "$job" -- -i "$here/port-key" -o IdentitiesOnly=yes "id -un" </dev/null)
     ssh -i "$here/port-key" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -p "$RUSSET_SSH_PORT" "$user@$RUSSET_SSH_HOST" "echo directly" </dev/null || exit 1
     "$RUSSET" job ssh "$job" --end || exit 1
     second=0
     while nc -z -G 2 "$RUSSET_SSH_HOST" "$RUSSET_SSH_PORT"; do
         second=$((second + 1)); [ $second -lt 60 ] || { echo "the port is still open"; exit 1; }; sleep 1
     done
     echo the port is closed again'
