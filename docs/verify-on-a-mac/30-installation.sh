# Installation
# shellcheck shell=sh disable=SC2016

check launchctl-not-loaded - '^113$' \
    'launchctl print system/dev.russet.no-such-job; echo $?'

check launchctl-print-form - '^0 state pid exit$' \
    'job=$(launchctl print system/com.apple.opendirectoryd); code=$?
     words=$(echo "$job" | sed -n "s/^[[:space:]]state = .*/state/p; s/^[[:space:]]pid = [0-9]*$/pid/p; s/^[[:space:]]last exit code = .*/exit/p" | tr "\n" " ")
     echo "$code $words" | sed "s/ $//"'

check launchctl-disabled-form - '^[[:space:]]*"[^"]+" => (enabled|disabled|true|false)$' \
    'launchctl print-disabled system'

check dscl-not-found - '^56 .*eDSRecordNotFound' \
    'said=$(dscl . -read /Users/_russet_no_such 2>&1) && code=0 || code=$?; echo $code $said'

check dscl-role-account - '^ours$' \
    'dscl . -read /Users/_spotlight >record
     if grep -q "^AuthenticationAuthority" record; then cat record; else grep "^UserShell: /usr/bin/false" record && echo ours; fi'

check install-ancestors - '^only root can change them$' \
    'for d in / /opt /etc /etc/paths.d /Library /Library/LaunchDaemons /Library/Logs /Library/Preferences /var /var/db; do
         [ ! -e "$d" ] || stat -L -f "%u %OLp %Sp %N" "$d"
     done >ancestors
     cat ancestors
     if awk "\$1 != 0 || (\$3 ~ /^.....w|^........w/ && \$3 !~ /[tT]\$/) { bad = 1 } END { exit bad }" ancestors; then echo only root can change them; fi'

check install-dry-run - 'actions would be done|nothing would be done' \
    'printf "api: {auth_token: x}\nrunner: {name: verify}\n" >agent.yaml; chmod 600 agent.yaml
     "$RUSSET" agent install --root "$here" --config "$here/agent.yaml" --dry-run'

check install-users 'root agent' '^hidden, no login$' \
    'dscl . -read /Users/_russet1 >record
     grep "^dsAttrTypeNative:IsHidden: 1$" record; grep "^UserShell: /usr/bin/false$" record
     grep "^NFSHomeDirectory: /opt/russet/data/slots/1/home$" record
     if grep "^AuthenticationAuthority" record; then echo it can log in; else echo hidden, no login; fi'

check install-renews 'change root agent' '^Everything is installed already' \
    '"$RUSSET" agent install'

check install-restarts 'change root agent' '^another process$' \
    'pid() { launchctl print system/dev.russet.agent | sed -n "s/^[[:space:]]pid = //p"; }
     before=$(pid); "$RUSSET" agent restart; after=$(pid)
     if [ -n "$after" ] && [ "$after" != "$before" ]; then echo another process; else echo "$before $after"; fi'

check install-holds-without-user 'change root agent limit=180' '^held, and the same record afterwards$' \
    'ids() { dscl . -read /Users/_russet1 UniqueID PrimaryGroupID GeneratedUID; }
     before=$(ids); "$RUSSET" agent stop; dscl . -delete /Users/_russet1; "$RUSSET" agent start
     "$RUSSET" agent status >held; "$RUSSET" agent repair; cat held; ids
     if grep -q "_russet1 does not exist" held && [ "$(ids)" = "$before" ]; then echo held, and the same record afterwards; fi'
