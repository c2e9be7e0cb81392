# The control plane as a service
# shellcheck shell=sh disable=SC2016

check server-service 'change root no-server limit=300' '^it served and is gone$' \
    'said=$("$RUSSET" server install --listen 127.0.0.1:18099 2>&1) || { echo "$said"; exit 1; }
     trap "\"\$RUSSET\" server uninstall --purge >/dev/null 2>&1" EXIT
     plutil -lint /Library/LaunchDaemons/dev.russet.server.plist || exit 1
     pid=$(launchctl print system/dev.russet.server | sed -n "s/^.pid = //p" | head -n 1)
     [ "$(ps -o user= -p "$pid" | tr -d " ")" = _russetserver ] || { echo "it runs as another user"; exit 1; }
     [ "$(stat -f "%Su %Lp" /var/db/russet-server)" = "_russetserver 700" ] || { echo "its data is open"; exit 1; }
     [ -f /Library/Logs/RussetServer/server.log ] || { echo "it has no log"; exit 1; }
     curl -s -o /dev/null http://127.0.0.1:18099/login || { echo "it does not answer"; exit 1; }
     kill -9 "$pid"
     for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
         sleep 1
         curl -s -o /dev/null http://127.0.0.1:18099/login && back=yes && break
     done
     [ "${back:-no}" = yes ] || { echo "it did not come back"; exit 1; }
     "$RUSSET" server uninstall --purge >/dev/null 2>&1 || { echo "it was not removed"; exit 1; }
     [ ! -e /opt/russet-server ] && [ ! -e /var/db/russet-server ] && ! dscl . -read /Users/_russetserver >/dev/null 2>&1 &&
         echo it served and is gone'

check server-service-errors 'change root no-server limit=300' '^_russetserver$|^root$' \
    '"$RUSSET" server install --listen 127.0.0.1:18099 >/dev/null 2>&1 || exit 1
     stat -f "%Su" /Library/Logs/RussetServer/server-errors.log
     "$RUSSET" server uninstall --purge >/dev/null 2>&1'
