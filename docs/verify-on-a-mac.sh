#!/bin/sh
# Shows on a Mac what nothing else can show; docs/verify-on-a-mac.md says what each check is about.
#
# Without options it only looks. With --change it makes things below a temporary directory and
# removes them again; as root it also does what takes root. It says what it is about to change.
#
# A check is: check NAME NEEDS EXPECTED COMMAND
#   NEEDS     words: change, root, slot (the user _russet1 exists and runs nothing), agent (an
#             installed one), companion, package (RUSSET_PKG names one), release (RUSSET_UPDATE is its
#             version), team (RUSSET_TEAM_ID), updated (an agent that was), xcode, gui (somebody is logged in at the screen), or - for nothing
#   EXPECTED  an extended regular expression that some line of the output must match
#   COMMAND   text for sh; its exit status must be 0. For another one, print it and expect it.
#
# Commands are text, expanded by the shell that runs them.
# shellcheck disable=SC2016
set -eu

change=no
case ${1:-} in
    '') ;;
    --change) change=yes ;;
    *) echo "usage: verify-on-a-mac.sh [--change]" >&2; exit 2 ;;
esac

[ "$(uname -s)" = Darwin ] || [ -n "${RUSSET_VERIFY_ANYWHERE:-}" ] || {
    echo "error: this is not a Mac" >&2
    exit 2
}

RUSSET=${RUSSET:-russet}
AGENT_CONFIG=/Library/Preferences/dev.russet.agent/config.yaml
report=russet-verify-$(date +%Y%m%d-%H%M%S).txt
here=$(mktemp -d /tmp/russet-verify.XXXXXX)
chmod 711 "$here"
export RUSSET here
passed=0 failed=0 skipped=0

clean_up() {
    # What a check may have left behind when it failed half-way.
    if [ -e "$here/mounted" ]; then
        hdiutil detach "$here/mounted" -force >/dev/null 2>&1 || :
    fi
    chflags -R 0 "$here" >/dev/null 2>&1 || :
    chmod -RN "$here" >/dev/null 2>&1 || :
    rm -rf "$here"
}
trap clean_up EXIT

# Whether the needs are met; says in $missing which is not.
met() {
    missing=
    for need in $1; do
        case $need in
            -) ;;
            change) [ $change = yes ] || missing="--change" ;;
            root) { [ "$(id -u)" = 0 ] && [ -z "${RUSSET_VERIFY_ANYWHERE:-}" ]; } || missing="root" ;;
            package) [ -f "${RUSSET_PKG:-}" ] || missing="RUSSET_PKG, a package of a release" ;;
            release) [ -n "${RUSSET_UPDATE:-}" ] || missing="RUSSET_UPDATE, a newer release at the source" ;;
            team) [ -n "${RUSSET_TEAM_ID:-}" ] || missing="RUSSET_TEAM_ID, the team of the build" ;;
            updated) [ -e /opt/russet/previous ] || missing="an agent that was updated" ;;
            agent) [ -e $AGENT_CONFIG ] || missing="an installed agent" ;;
            companion) [ -e /opt/russet/Russet.app ] || missing="an installed menubar companion" ;;
            slot)
                id _russet1 >/dev/null 2>&1 || missing="the user _russet1"
                ! pgrep -u _russet1 >/dev/null 2>&1 || missing="a slot without a task"
                ;;
            xcode) xcode-select -p >/dev/null 2>&1 || missing="Xcode" ;;
            gui)
                console=$(stat -f %u /dev/console 2>/dev/null || echo 0)
                { [ "$console" != 0 ] && launchctl print "gui/$console" >/dev/null 2>&1; } ||
                    missing="a login at the screen"
                ;;
            *) echo "error: unknown need $need" >&2; exit 2 ;;
        esac
        [ -z "$missing" ] || return 1
    done
}

line() { printf '%-7s %-26s %s\n' "$1" "$2" "$3" | tee -a "$report"; }

check() {
    name=$1 needs=$2 expected=$3 command=$4
    if ! met "$needs"; then
        skipped=$((skipped + 1))
        line skip "$name" "needs $missing"
        return 0
    fi
    case " $needs " in *" change "*) echo "        changing: $command" | head -n 3 >>"$report" ;; esac
    status=0
    (cd "$here" && sh -c "$command") >"$here/.output" 2>&1 </dev/null || status=$?
    if [ "$status" = 0 ] && grep -Eq -e "$expected" "$here/.output"; then
        passed=$((passed + 1))
        line ok "$name" "$(grep -E -m 1 -e "$expected" "$here/.output" | cut -c 1-100)"
    else
        failed=$((failed + 1))
        line FAIL "$name" "exit status $status, wanted /$expected/, got:"
        head -c 4000 "$here/.output" | sed 's/^/        | /' | tee -a "$report"
    fi
}

# russet run of a project whose configuration comes on standard input: project NAME
cat >"$here/project" <<'PROJECT'
#!/bin/sh
set -eu
dir=$here/project-$1
mkdir -p "$dir/.circleci"
cat >"$dir/.circleci/config.yml"
cd "$dir"
XDG_STATE_HOME=$here/state "$RUSSET" run
PROJECT

# The same of one job: steps NAME ['keys beside the jobs'], with its steps on standard input
cat >"$here/steps" <<'STEPS'
#!/bin/sh
set -eu
{
    printf 'version: 2.1\n%b' "${2:-}"
    printf 'jobs:\n  job:\n    machine: true\n    steps:\n'
    sed 's/^/      /'
    printf 'workflows:\n  main:\n    jobs: [job]\n'
} | "$here/project" "$1"
STEPS

# The same with one step: job NAME 'the script' ['further keys of the step']
cat >"$here/job" <<'JOB'
#!/bin/sh
set -eu
{
    printf -- '- run:\n    command: |\n'
    printf '%s\n' "$2" | sed 's/^/      /'
    [ -z "${3:-}" ] || printf '    %s\n' "$3"
} | "$here/steps" "$1"
JOB

# The clean-up of a slot, as the launch agent has it done: by a process of the slot's user.
cat >"$here/clean" <<'CLEAN'
#!/bin/sh
set -eu
slot=$here/slot
mkdir -p -m 711 "$slot"
for dir in home work tmp spool; do
    mkdir -p -m 700 "$slot/$dir"
    chown _russet1 "$slot/$dir"
done
printf '{"version":1,"mode":"clean","token":"","allocation":"none","api_url":"http://127.0.0.1:1",
"runner":"verify","max_run_time_ms":1000,
"user":{"uid":%s,"gid":%s,"name":"_russet1","dedicated":true},
"dirs":{"root":"%s","home":"%s/home","work":"%s/work","tmp":"%s/tmp","spool":"%s/spool"}}' \
    "$(id -u _russet1)" "$(id -g _russet1)" "$slot" "$slot" "$slot" "$slot" "$slot" |
    "$RUSSET" task-agent
CLEAN
chmod 755 "$here/project" "$here/steps" "$here/job" "$here/clean"

{
    echo "russet on a Mac, $(date -u +%Y-%m-%dT%H:%M:%SZ), uid $(id -u), change: $change"
    sw_vers 2>/dev/null || uname -a
    uname -m
} | tee -a "$report"

# --- The machine ---

check macos-version - '^(10\.1[5-9]|1[1-9]|[2-9][0-9])' 'sw_vers -productVersion'

check arch-not-rosetta - '^(1|intel)$' 'sysctl -n hw.optional.arm64 2>/dev/null || echo intel'

check boot-session - '^[0-9A-F]{8}-[0-9A-F]{4}-' 'sysctl -n kern.bootsessionuuid'

# --- The binary ---

check binary-runs - '^russet [0-9]' '"$RUSSET" --version'

check run-a-job change 'verified-42' '"$here/job" hello "echo verified-\$((40 + 2))"'

check timeout-shows-processes change ' S +0:[0-9.]+ +0:00\.[0-9]+ +[0-9.]+ [kM]?B  sleep 600' \
    '"$here/job" hang "sleep 600; true" "no_output_timeout: 5s" || :'

check leftovers-are-ended change '^none is left$' \
    'time=$((100000 + $$))
     "$here/job" leave "perl -e \"use POSIX; fork and exit; POSIX::setsid(); exec q(sleep), $time\" & sleep 1; true" | tee job.log
     grep "sleep $time (pid" job.log
     if pkill -f "^sleep $time"; then echo it was left; else echo none is left; fi'

check cache-keeps-attributes change '^kept by the cache$' \
    '"$here/steps" cached <<STEPS
- run: echo x > f; xattr -w dev.russet.test "kept by the cache" f
- save_cache:
    key: x-{{ arch }}-{{ checksum "f" }}
    paths: [f]
- run: rm f
- restore_cache: {keys: [x-darwin-]}
- run: xattr -p dev.russet.test f
STEPS'

check cache-clones change '^Cloned 1 entries of ' \
    '"$here/steps" cloned <<STEPS
- run: head -c 1000000 /dev/urandom > f
- save_cache: {key: large, paths: [f]}
- run: cksum f; rm f
- restore_cache: {keys: [large]}
- run: cksum f; rm f
- restore_cache: {keys: [large]}
- run: cksum f
STEPS'

check setup-curl change '^ours$' \
    '"$here/steps" setup "setup: true\n" <<STEPS
- run: test "\$(command -v curl)" != /usr/bin/curl && echo ours
STEPS'

# --- The service ---

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

# --- Housekeeping ---

check user-directories - '^/var/folders/.+/0/$' \
    'getconf DARWIN_USER_TEMP_DIR | grep /T/ && getconf DARWIN_USER_CACHE_DIR | grep /C/ && getconf DARWIN_USER_DIR'

check protected-files-go change '^nothing is left$' \
    '"$here/job" protect "mkdir -p ~/russet-a ~/russet-c; touch ~/russet-a/b ~/russet-c/d
chmod +a \"everyone deny delete,delete_child\" ~/russet-c; chflags uchg ~/russet-a/b ~/russet-a"
     left=$(find "$here/state" -name "russet-[ac]" 2>/dev/null)
     if [ -z "$left" ]; then echo nothing is left; else echo "$left"; fi'

check disk-image-owner change '^the owner is right$' \
    'hdiutil create -quiet -size 5m -fs HFS+ -volname russet image.dmg
     device=$(hdiutil attach image.dmg -nobrowse -mountpoint "$here/mounted" | sed -n "s|^\(/dev/disk[0-9]*\).*|\1|p" | head -n 1)
     hdiutil info -plist | grep -A 1 "<key>owner-uid</key>" | grep "<integer>$(id -u)<"
     test "$(stat -f %u "$device")" = "$(id -u)"
     mount | grep "$here/mounted" | grep "mounted by $(id -un)"
     echo the owner is right'

check unmount-by-owner change '^unmounted$' \
    'umount -f "$here/mounted"; echo unmounted; hdiutil info | sed -n "/image.dmg/,/^=/s|^\(/dev/disk[0-9]*\).*|\1|p" | head -n 1 | xargs -n 1 hdiutil detach -force >/dev/null 2>&1 || :'

check disk-image-goes 'change root slot' '^it is gone$' \
    'image=/tmp/russet-verify-$$.dmg
     sudo -u _russet1 hdiutil create -quiet -size 5m -fs HFS+ -volname russet "$image"
     sudo -u _russet1 hdiutil attach -quiet -nobrowse "$image"
     hdiutil info | grep "$image"
     "$here/clean"
     if hdiutil info | grep -q "$image" || [ -e "$image" ]; then echo it is still there; else echo it is gone; fi'

check user-domain-form - 'services = \{' 'launchctl print "user/$(id -u)"'

check user-domain-ends 'change root slot' '^(0|3|113|125)$' \
    'launchctl bootout "user/$(id -u _russet1)" >/dev/null 2>&1 && echo 0 || echo $?'

check kill-all-but-me 'change root slot' '^cleaned and gone$' \
    'sudo -u _russet1 /bin/sh -c "sleep 602 >/dev/null 2>&1 &"
     pgrep -u _russet1 -f "sleep 602"
     "$here/clean"
     if pgrep -u _russet1 -f "sleep 602" >/dev/null; then echo it still runs; else echo cleaned and gone; fi'

check ipc-tools - '^T +ID +KEY +MODE +OWNER' 'ipcs -a'

# --- Environment of a task ---

check task-environment change 'limit (unlimited|[0-9]{6,}|10240|[2-9][0-9]{4}|1[1-9][0-9]{3})' \
    'mkdir -p env/.circleci
     printf "version: 2.1\njobs:\n  job:\n    machine: true\n    steps:\n      - run: echo \"\$PATH\"; echo limit \$(ulimit -n)\nworkflows:\n  main:\n    jobs: [job]\n" >env/.circleci/config.yml
     "$RUSSET" run env; /usr/libexec/path_helper -s 2>/dev/null || :'

# --- Network ---

check local-network 'change root slot' '^(root reaches it|nothing listens there)$' \
    'router=$(route -n get default | sed -n "s/.*gateway: //p")
     for port in 80 443 53; do nc -z -w 3 "$router" $port 2>/dev/null && break; port=; done
     if [ -z "$port" ]; then echo nothing listens there; exit; fi
     echo root reaches it
     launchctl submit -l dev.russet.verify-network -o "$here/said" -e "$here/said" -- \
         /usr/bin/sudo -u _russet1 /bin/sh -c "nc -z -w 3 $router $port && echo the slot reaches it || echo the slot is refused"
     sleep 8; launchctl remove dev.russet.verify-network; sort -u "$here/said"'

check relay-socket 'root agent' '^(_russet1 600|no relay here)$' \
    'socket=/var/db/russet/slots/1/relay.sock
     if [ -S $socket ]; then stat -f "%Su %Lp" $socket; else echo no relay here; fi'

# --- Tokens and credentials ---

check security-session 'change root slot' '^0$' '"$here/clean" >/dev/null 2>&1; echo $?'

check security-interactive change 'already exists' \
    'tell() { printf "%s\n" "$1" | security -i; }
     create="\"create-keychain\" \"-p\" \"a \\\"b\\\" \\\\ c\" \"$here/x.keychain-db\""
     tell "$create" || exit 1
     tell "$create" 2>&1 && echo it was made twice
     security unlock-keychain -p "a \"b\" \\ c" "$here/x.keychain-db"
     security delete-keychain "$here/x.keychain-db"'

check security-list-form - '^ *"/.*"$' 'security list-keychains -d user'

check security-identity-form - 'Valid identities only' 'security find-identity'

check security-profile-form xcode '<key>UUID</key>|^none here$' \
    'for dir in "$HOME/Library/MobileDevice" "$HOME/Library/Developer/Xcode/UserData"; do
         for file in "$dir/Provisioning Profiles"/*; do
             if [ -f "$file" ]; then security cms -D -i "$file"; exit; fi
         done
     done; echo none here'

check task-keychain change '1 identities found' \
    'openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=russet-verify -keyout k.pem -out c.pem
     openssl pkcs12 -export -inkey k.pem -in c.pem -out x.p12 -passout pass:opensesame
     keychain="$here/russet-task-verify.keychain-db"
     tell() { printf "%s\n" "$1" | security -i; }
     tell "create-keychain -p x $keychain" && tell "set-keychain-settings $keychain" &&
     tell "unlock-keychain -p x $keychain" &&
     tell "import $here/x.p12 -k $keychain -f pkcs12 -P opensesame -T /usr/bin/codesign" &&
     tell "set-key-partition-list -S apple-tool:,apple:,codesign: -s -k x $keychain" &&
     tell "find-identity $keychain"; code=$?
     security delete-keychain "$keychain"; exit $code'

# --- Installation ---

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
     grep "^NFSHomeDirectory: .*/slots/1/home$" record
     if grep "^AuthenticationAuthority" record; then echo it can log in; else echo hidden, no login; fi'

check install-renews 'change root agent' '^Everything is installed already' \
    '"$RUSSET" agent install'

check install-restarts 'change root agent' '^another process$' \
    'pid() { launchctl print system/dev.russet.agent | sed -n "s/^[[:space:]]pid = //p"; }
     before=$(pid); "$RUSSET" agent restart; after=$(pid)
     if [ -n "$after" ] && [ "$after" != "$before" ]; then echo another process; else echo "$before $after"; fi'

check install-repairs-user 'change root agent' '^the same record$' \
    'ids() { dscl . -read /Users/_russet1 UniqueID PrimaryGroupID GeneratedUID; }
     before=$(ids); "$RUSSET" agent stop; dscl . -delete /Users/_russet1; "$RUSSET" agent start
     if [ "$(ids)" = "$before" ]; then echo the same record; else echo "$before"; ids; fi'

# --- Logs and metrics ---

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

# --- Doctor ---

check doctor-runs - '^sleep (ok|warning)$' \
    '"$RUSSET" agent doctor --output json >"$here/doctor.json"
     plutil -convert xml1 -o - "$here/doctor.json" >/dev/null
     tr -d "\n" <"$here/doctor.json" | grep -q "\"worst\"" && tr -d " \n" <"$here/doctor.json" |
         sed -n "s/.*\"level\":\"\([a-z]*\)\",\"name\":\"sleep\".*/sleep \1/p; s/.*\"name\":\"sleep\",\"level\":\"\([a-z]*\)\".*/sleep \1/p"'

check machine-facts - '"found": *"[A-Z][A-Za-z]*[0-9]+,[0-9]+, .*, macOS [0-9.]+ \([0-9A-Za-z]+\), (arm64|x86_64)' \
    '"$RUSSET" agent doctor --output json || [ $? -ge 20 ]'

check stays-awake - 'caffeinate' \
    'sleep 3 | caffeinate -is /bin/cat &
     sleep 1
     pmset -g assertions | grep "caffeinate.*PreventUserIdleSystemSleep" && pmset -g assertions |
         grep "caffeinate.*PreventSystemSleep"
     wait
     ! pmset -g assertions | grep "caffeinate.*cat"'

check pmset-form - '^ sleep +[0-9]+' 'pmset -g'

check fdesetup-form - '^FileVault is (On|Off)\.$' 'fdesetup status'

check background-item-form 'root agent' '^ *Identifier: [0-9]+\.dev\.russet\.agent$' 'sfltool dumpbtm'

check update-preferences-form - '"(RecommendedUpdates|LastSuccessfulDate)"' \
    'plutil -p /Library/Preferences/com.apple.SoftwareUpdate.plist'

check xcode-version-form xcode '"CFBundleShortVersionString" => "[0-9.]+"' \
    'plutil -p "$(xcode-select -p)/../version.plist"'

check xcode-ready xcode '^ready$' \
    'xcodebuild -license check && xcodebuild -checkFirstLaunchStatus && echo ready'

# --- Sessions and simulators ---

# Who is logged in at the screen.
screen=$(stat -f %u /dev/console 2>/dev/null || echo 0)
export screen

check asuser-keeps-root 'root gui' '^0$' 'launchctl asuser "$screen" id -u'

check asuser-reaches-the-session 'root gui' '^Aqua$' 'launchctl asuser "$screen" launchctl managername'

check gui-domain-tells-login gui '^0 [1-9][0-9]*$' \
    'launchctl print "gui/$screen" >/dev/null; here=$?
     there=0; launchctl print gui/58999 >/dev/null 2>&1 || there=$?
     echo "$here $there"'

check session-services-form gui '^[[:space:]]+[0-9]+ +[-0-9]+ +com\.apple\.(Finder|Dock)' \
    'launchctl print "gui/$screen" | sed -n "/services = {/,/}/p" | tr "\t" " "'

check simulators-listed xcode '^== Devices ==' 'xcrun simctl list devices'

check lock-without-writing - '^locked$' \
    'perl -e "use Fcntl q(:flock); open(F, q(<), q(/etc/hosts)) or die; flock(F, LOCK_EX | LOCK_NB) or die; print qq(locked\n)"'

# --- The menu bar ---

check menubar-runs 'companion gui' '^ *1$' 'pgrep -x -u "$screen" russet-menubar | wc -l'

check menubar-is-no-dock-app companion '^true$' \
    'plutil -extract LSUIElement raw /opt/russet/Russet.app/Contents/Info.plist'

# --- The package ---

check package-signature package '^ *Status: signed by' 'pkgutil --check-signature "$RUSSET_PKG"'

check package-accepted package 'accepted$' 'spctl --assess --type install -vv "$RUSSET_PKG" 2>&1'

check package-ticket 'package xcode' 'validate action worked' 'xcrun stapler validate "$RUSSET_PKG"'

check package-payload package '^(\./)?opt/russet/RussetAgent\.app/Contents/MacOS/russet$' \
    'pkgutil --payload-files "$RUSSET_PKG"'

check package-bom 'package change' '^\./opt/russet/russet-boot[[:space:]]+100755[[:space:]]+0/0' \
    'pkgutil --expand "$RUSSET_PKG" "$here/package" && lsbom "$here/package/agent.pkg/Bom"'

check package-receipt agent '^version: [0-9]+\.[0-9]+\.[0-9]+$' 'pkgutil --pkg-info dev.russet.agent.pkg'

check installed-signature agent 'valid on disk' \
    'codesign --verify --strict --all-architectures --verbose=2 /opt/russet/RussetAgent.app 2>&1'

# --- Updates ---

# What a bundle of a team has to be, as the agent asks it.
required() {
    printf '%s and identifier "dev.russet.agent" and certificate leaf[subject.OU] = "%s" and %s' \
        'anchor apple generic' "$1" 'certificate leaf[field.1.2.840.113635.100.6.1.13] exists'
}
required=$(required "${RUSSET_TEAM_ID:-}") another=$(required NOBODY0000)
export required another

check update-requirement 'agent team' '^met$' \
    'codesign --verify --strict --all-architectures --deep -R="$required" /opt/russet/RussetAgent.app && echo met'

check update-refuses-another-team 'agent team' '^refused$' \
    'codesign --verify --strict --all-architectures --deep -R="$another" /opt/russet/RussetAgent.app || echo refused'

check update-exchanges-an-app 'change root agent' '^exchanged and valid$' \
    'place=$(mktemp -d /opt/russet/verify.XXXXXX)
     trap "rm -rf \"$place\"" EXIT
     cd "$place" && cp -Rp ../RussetAgent.app a.app && cp -Rp ../RussetAgent.app b.app
     a=$(stat -f "%i %Fm" a.app) b=$(stat -f "%i %Fm" b.app)
     perl -e "syscall(488, -2, my \$a = q(a.app), -2, my \$b = q(b.app), 2) == 0 or die \$!"
     [ "$(stat -f "%i %Fm" a.app)" = "$b" ] && [ "$(stat -f "%i %Fm" b.app)" = "$a" ] &&
         codesign --verify --strict a.app && codesign --verify --strict b.app && echo exchanged and valid'

check update-of-a-package 'change root agent release' 'valid on disk' \
    '"$RUSSET" agent update install --wait && "$RUSSET" agent update status | grep "^Version $RUSSET_UPDATE runs" &&
         codesign --verify --strict --all-architectures --verbose=2 /opt/russet/RussetAgent.app 2>&1'

check update-keeps-the-one-before updated 'valid on disk' \
    'codesign --verify --strict --verbose=2 /opt/russet/previous 2>&1'

# --- End: add checks of other parts above, each with its heading in verify-on-a-mac.md ---

printf '\n%s passed, %s failed, %s skipped; the report is %s\n' "$passed" "$failed" "$skipped" "$report" |
    tee -a "$report"
[ "$failed" = 0 ]
