# Network
# shellcheck shell=sh disable=SC2016

check local-network 'change root slot' '^(root reaches it|nothing listens there)$' \
    'router=$(route -n get default | sed -n "s/.*gateway: //p")
     for port in 80 443 53; do nc -z -w 3 "$router" $port 2>/dev/null && break; port=; done
     if [ -z "$port" ]; then echo nothing listens there; exit; fi
     echo root reaches it
     launchctl submit -l dev.russet.verify-network -o "$here/said" -e "$here/said" -- \
         /usr/bin/sudo -u _russet1 /bin/sh -c "nc -z -w 3 $router $port && echo the slot reaches it || echo the slot is refused"
     sleep 8; launchctl remove dev.russet.verify-network; sort -u "$here/said"'

check relay-socket 'root agent' '^(_russet1 600|no relay here)$' \
    'socket=/opt/russet/data/slots/1/relay.sock
     if [ -S $socket ]; then stat -f "%Su %Lp" $socket; else echo no relay here; fi'
