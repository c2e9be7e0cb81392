#!/bin/sh
# Shows on a Mac what nothing else can show; docs/verify-on-a-mac.md says what each check is about.
#
# Without options it only looks. With --change it makes things below a temporary directory and
# removes them again; as root it also does what takes root. It says what it is about to change.
#
# The checks are in verify-on-a-mac/*.sh, one file per part. A check is:
#
#   check NAME NEEDS EXPECTED COMMAND
#
#   NEEDS     words, or - for nothing: what has to be there (see `met`), and how it runs:
#             limit=SECONDS (60 without), daemon (as root, started by launchd), as-slot (as the user
#             _russet1, started by launchd, in a home of its own), ssh (over $RUSSET_SSH), eyes
#             (COMMAND prints what a person has to look at, who answers yes or no)
#   EXPECTED  an extended regular expression that some line of the output must match
#   COMMAND   text for sh; its exit status must be 0. For another one, print it and expect it.
#
# Commands are text, expanded by the shell that runs them.
# shellcheck disable=SC2016
set -eu

usage() {
    cat <<'USAGE'
usage: verify-on-a-mac.sh [--change] [--ask] [--only NAME[,NAME...]] [--resume REPORT] [--list]

  --change         also make and remove things; as root also what takes root
  --ask            also ask about what only eyes can see (dark mode, notifications, names)
  --only NAMES     run these checks alone
  --resume REPORT  go on with an earlier report: what was ok there is not run again
  --list           print the names of the checks with what each needs
USAGE
}

wrong_usage() {
    echo "error: $1" >&2
    usage >&2
    exit 2
}

change=no ask=no only='' resume='' list=no
while [ $# -gt 0 ]; do
    case $1 in
        --change) change=yes ;;
        --ask) ask=yes ;;
        --list) list=yes ;;
        --only) [ $# -gt 1 ] || wrong_usage "--only needs names of checks"; only=$2; shift ;;
        --resume) [ $# -gt 1 ] || wrong_usage "--resume needs a report"; resume=$2; shift ;;
        -h | --help) usage; exit 0 ;;
        *) wrong_usage "unknown option $1" ;;
    esac
    shift
done

parts=$(cd "$(dirname "$0")" && pwd)/verify-on-a-mac
checks=${RUSSET_VERIFY_CHECKS:-$parts} tools=$parts/tools
[ -d "$checks" ] || wrong_usage "the checks are missing: $checks"
names=$(sed -n 's/^check \([a-z0-9-]*\) .*/\1/p' "$checks"/*.sh)

# Prints each check with its needs, the way the files have them.
if [ $list = yes ]; then
    sed -n "s/^check \\([a-z0-9-]*\\) '\\([^']*\\)'.*/\\1\\t\\2/p; t
            s/^check \\([a-z0-9-]*\\) \\([^ ]*\\) .*/\\1\\t\\2/p" "$checks"/*.sh |
        awk -F '\t' '{ printf "%-30s %s\n", $1, $2 }'
    exit 0
fi

for name in $(echo "$only" | tr ',' ' '); do
    echo "$names" | grep -qx -e "$name" || wrong_usage "there is no check $name; --list names them"
done
[ -z "$resume" ] || [ -r "$resume" ] || wrong_usage "the report $resume cannot be read"

[ "$(uname -s)" = Darwin ] || [ -n "${RUSSET_VERIFY_ANYWHERE:-}" ] || {
    echo "error: this is not a Mac" >&2
    exit 2
}

RUSSET=${RUSSET:-russet}
SLOT=${RUSSET_VERIFY_SLOT:-_russet1}
AGENT_CONFIG=/Library/Preferences/dev.russet.agent/config.yaml
report=${resume:-russet-verify-$(date +%Y%m%d-%H%M%S).txt}
here=$(mktemp -d /tmp/russet-verify.XXXXXX)
chmod 711 "$here"
export RUSSET SLOT here tools
passed=0 failed=0 skipped=0 before=0 reboot=no

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
trap 'exit 130' HUP INT TERM

# The boot that this is: another one after a restart of the machine.
boot_session() { sysctl -n kern.bootsessionuuid 2>/dev/null || echo unknown; }

# Returns whether the needs are met; leaves in $missing which is not.
met() {
    missing=
    for need in $1; do
        case $need in
            - | limit=*) ;;
            change) [ $change = yes ] || missing="--change" ;;
            eyes) { [ $ask = yes ] && [ -r /dev/tty ]; } || missing="--ask, at a terminal" ;;
            not-root) [ "$(id -u)" != 0 ] || missing="a run without sudo" ;;
            root | daemon) { [ "$(id -u)" = 0 ] && [ "${RUSSET_VERIFY_ANYWHERE:-}" != 1 ]; } || missing="root" ;;
            ssh) [ -n "${RUSSET_SSH:-}" ] || missing="RUSSET_SSH, an administrator's login over SSH with a key, as root@localhost" ;;
            rebooted)
                if [ -z "$resume" ] || grep -q -e "^boot $(boot_session)\$" "$here/.before"; then
                    missing="a restart of this Mac, then --resume $report"
                    reboot=yes
                fi
                ;;
            no-server) [ ! -e /opt/russet-server ] || missing="a Mac without an installed server" ;;
            package) [ -f "${RUSSET_PKG:-}" ] || missing="RUSSET_PKG, a package of a release" ;;
            release) [ -n "${RUSSET_UPDATE:-}" ] || missing="RUSSET_UPDATE, a newer release at the source" ;;
            team) [ -n "${RUSSET_TEAM_ID:-}" ] || missing="RUSSET_TEAM_ID, the team of the build" ;;
            class) [ -n "${RUSSET_CLASS:-}" ] || missing="RUSSET_CLASS, a class that this agent serves" ;;
            ssh-class) [ -n "${RUSSET_SSH_CLASS:-}" ] || missing="RUSSET_SSH_CLASS, a class that this agent serves and that allows SSH, as the agent does" ;;
            ssh-port)
                { [ -n "${RUSSET_SSH_HOST:-}" ] && [ -n "${RUSSET_SSH_PORT:-}" ]; } ||
                    missing="RUSSET_SSH_HOST and RUSSET_SSH_PORT, the first of runner.ssh.ports and its address"
                ;;
            kept-class) [ -n "${RUSSET_KEPT_CLASS:-}" ] || missing="RUSSET_KEPT_CLASS, a class of two slots that keeps derived-data" ;;
            gui-class) [ -n "${RUSSET_GUI_CLASS:-}" ] || missing="RUSSET_GUI_CLASS, a class with session: gui" ;;
            gui-account)
                { [ -n "${RUSSET_GUI_USER:-}" ] && [ -r "${RUSSET_GUI_PASSWORD:-}" ]; } ||
                    missing="RUSSET_GUI_USER, an account for the screen, and RUSSET_GUI_PASSWORD, a file with its password"
                ;;
            skeleton)
                [ -d "${RUSSET_SKELETON:-}/Library/Developer/CoreSimulator/Devices" ] ||
                    missing="RUSSET_SKELETON, a skeleton of homes with simulators"
                ;;
            signing-class) [ -n "${RUSSET_SIGNING_CLASS:-}" ] || missing="RUSSET_SIGNING_CLASS, a class with a signing credential" ;;
            uninstall) [ -n "${RUSSET_UNINSTALL:-}" ] || missing="RUSSET_UNINSTALL=yes, which removes Russet at the end" ;;
            updated) [ -e /opt/russet/previous ] || missing="an agent that was updated" ;;
            agent) [ -e $AGENT_CONFIG ] || missing="an installed agent" ;;
            companion) [ -e /opt/russet/Russet.app ] || missing="an installed menubar companion" ;;
            slot | as-slot)
                id "$SLOT" >/dev/null 2>&1 || missing="the user $SLOT"
                ! pgrep -u "$SLOT" >/dev/null 2>&1 || missing="a slot without a task"
                [ "$need" = slot ] || [ "$(id -u)" = 0 ] || missing="root"
                ;;
            second-slot) id _russet2 >/dev/null 2>&1 || missing="the user _russet2" ;;
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

line() { printf '%-7s %-28s %5s  %s\n' "$1" "$2" "$3" "$4" | tee -a "$report"; }

# Asks a person about what the command printed.
ask_person() {
    cat "$here/.output" >/dev/tty
    printf 'Is it so? [y/n/skip] ' >/dev/tty
    read -r answer </dev/tty || answer=n
    echo "russet-verify: answered $answer" >>"$here/.output"
    case $answer in y*) return 0 ;; s*) return 2 ;; *) return 1 ;; esac
}

check() {
    name=$1 needs=$2 expected=$3 command=$4
    case ",$only," in ,, | *",$name,"*) ;; *) return 0 ;; esac
    if [ -n "$resume" ] && grep -q -e "^ok  *$name " "$here/.before"; then
        before=$((before + 1))
        return 0
    fi
    if ! met "$needs"; then
        skipped=$((skipped + 1))
        line skip "$name" - "needs $missing"
        return 0
    fi
    limit=60
    for need in $needs; do case $need in limit=*) limit=${need#limit=} ;; esac; done
    case " $needs " in *" change "*) echo "        changing: $command" | head -n 3 >>"$report" ;; esac
    printf '%s\n' "$command" >"$here/.command"
    status=0 began=$(date +%s)
    (cd "$here" && perl "$tools/limit.pl" "$limit" sh "$tools/run-check" "$needs") >"$here/.output" 2>&1 </dev/null || status=$?
    case " $needs " in *" eyes "*) [ $status != 0 ] || ask_person || status=$? ;; esac
    took=$(($(date +%s) - began))s
    if [ "$status" = 2 ] && grep -q '^russet-verify: answered s' "$here/.output"; then
        skipped=$((skipped + 1))
        line skip "$name" "$took" "a person left it out"
    elif [ "$status" = 0 ] && grep -Eq -e "$expected" "$here/.output"; then
        passed=$((passed + 1))
        line ok "$name" "$took" "$(grep -E -m 1 -e "$expected" "$here/.output" | cut -c 1-100)"
        head -n 20 "$here/.output" | cut -c 1-300 | sed 's/^/        | /' >>"$report"
    else
        failed=$((failed + 1))
        line FAIL "$name" "$took" "exit status $status, wanted /$expected/, got:"
        head -c 4000 "$here/.output" | sed 's/^/        | /' | tee -a "$report"
    fi
}

: >"$here/.before"
[ -z "$resume" ] || cp "$resume" "$here/.before"
{
    echo "russet on a Mac, $(date -u +%Y-%m-%dT%H:%M:%SZ), uid $(id -u), change: $change"
    sw_vers 2>/dev/null || uname -a
    echo "chip $(sysctl -n machdep.cpu.brand_string 2>/dev/null || uname -m), $(sysctl -n hw.model 2>/dev/null || echo unknown model)"
    echo "russet $("$RUSSET" --version 2>/dev/null | head -n 1 || echo is missing)"
    echo "xcode $(plutil -extract CFBundleShortVersionString raw "$(xcode-select -p 2>/dev/null)/../version.plist" 2>/dev/null || echo none)"
    csrutil status 2>/dev/null | head -n 1 || :
    echo "boot $(boot_session)"
} | tee -a "$report"

for file in "$checks"/*.sh; do
    # shellcheck source=/dev/null
    . "$file"
done

printf '\n%s passed, %s failed, %s skipped' "$passed" "$failed" "$skipped" | tee -a "$report"
[ "$before" = 0 ] || printf ', %s ok before' "$before" | tee -a "$report"
printf '; the report is %s\n' "$report" | tee -a "$report"
[ $reboot = no ] || echo "To go on after a restart: sudo sh $0 --change --resume $report"
[ "$failed" = 0 ]
