# What is set up once on a Mac: developer mode, other runners, backups, background items
# shellcheck shell=sh disable=SC2016

check developer-mode-form - '^Developer mode is currently (enabled|disabled)\.$' 'DevToolsSecurity -status 2>&1'

check developer-group-form - '^(yes .* is a member|no .* is NOT a member) of _developer$' \
    'dseditgroup -o checkmember -m "$(id -un)" _developer || [ $? = 67 ]'

check developer-install 'change root agent slot' '^yes .* is a member of _developer$' \
    '"$RUSSET" agent install --developer && DevToolsSecurity -status 2>&1 | grep enabled &&
         dseditgroup -o checkmember -m "$SLOT" _developer'

# A program of our own: those of Apple cannot be debugged. It hangs where a dialog waits for nobody.
check debugger-in-a-slot 'change as-slot xcode limit=120' 'exited with status = 7' \
    'echo "int main(void) { return 7; }" >seven.c && xcrun cc -g -o seven seven.c &&
         xcrun lldb --batch -o run ./seven'

check backup-exclusion 'root agent' '^\[Excluded\]' \
    'for state in /opt/russet/data /var/db/russet; do
         [ ! -d "$state/slots" ] || tmutil isexcluded "$state"
     done'

# The bytes that the agent writes are those of Apple'"'"'s tool.
check backup-exclusion-bytes 'change limit=120' '^62706C69737430305F1011636F6D2E6170706C652E6261636B75706408' \
    'mkdir excluded && tmutil addexclusion "$here/excluded" && tmutil isexcluded "$here/excluded" &&
         xattr -px com.apple.metadata:com_apple_backup_excludeItem excluded | tr -d " \n"'

# Without loading it: doctor tells a runner that would start with the next login.
check other-runner-is-told change 'CircleCI.s runner (is loaded|starts with)' \
    'home=$(eval echo "~${SUDO_USER:-$(id -un)}"); file=$home/Library/LaunchAgents/com.circleci.runner.plist
     if [ ! -e "$file" ] && [ ! -e /Library/LaunchDaemons/com.circleci.runner.plist ]; then
         mkdir -p "$home/Library/LaunchAgents"; : >"$file"; trap "rm -f \"$file\"" EXIT
     fi
     "$RUSSET" agent doctor --output json || [ $? -ge 20 ]'

check background-item-allowed 'root agent' '^the agent is allowed$' \
    '"$RUSSET" agent doctor --output json >said || [ $? -ge 20 ]
     sed -n "s/.*\"found\": *\"\(the agent is allowed\)\".*/\1/p" said'

check companion-in-every-session 'companion root' '^one in each of [1-9][0-9]*$' \
    'sessions=0 wrong=
     for uid in $(ps -axo uid= | sort -un); do
         [ "$uid" -ge 500 ] && launchctl print "gui/$uid" >/dev/null 2>&1 || continue
         sessions=$((sessions + 1))
         [ "$(pgrep -x -U "$uid" russet-menubar | wc -l)" -eq 1 ] || wrong="$wrong $uid"
     done
     if [ -z "$wrong" ]; then echo "one in each of $sessions"; else echo "not one for$wrong"; fi'

# A terminal of a step holds 2048 bytes at this speed, and 1216 at the usual one.
check pty-is-fast change '^230400$|[^0-9]230400$' '"$tools/job" speed "stty speed <&1"'
