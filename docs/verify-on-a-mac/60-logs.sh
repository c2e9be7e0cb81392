# Logs and metrics
# shellcheck shell=sh disable=SC2016

check log-follow change '^first second third$' \
    'add() { echo "2026-01-01T00:00:00.000000Z  INFO $1" >>agent.log; }
     add first; "$RUSSET" agent logs -f --file agent.log >said & follower=$!
     sleep 1; add second; sleep 1; mv agent.log agent.log.1; add third; sleep 1; kill "$follower"
     echo $(sed "s/.* //" said)'

check own-memory agent '^process_resident_memory_bytes [1-9][0-9]{6,}$' \
    'curl -s --unix-socket /var/run/russet/agent.sock http://agent/v1/metrics'

check boot-log-in-place 'change root agent' '^emptied and kept$' \
    'log=/Library/Logs/Russet/russet-boot.log
     head -c 1100000 /dev/zero >>"$log"; "$RUSSET" agent restart; sleep 5
     size() { stat -f %z "$1"; }
     if [ "$(size "$log")" -lt 100000 ] && [ "$(size "$log.1")" -gt 1000000 ]; then echo emptied and kept
     else ls -l "$log"*; fi'
