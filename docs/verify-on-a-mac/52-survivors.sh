# What a job leaves behind
# shellcheck shell=sh disable=SC2016

check set-uid-process-ends 'change root slot' '^it is gone$' \
    'sudo -u "$SLOT" /bin/sh -c "top -l 0 >/dev/null 2>&1 &"
     sleep 1; pgrep -U "$SLOT" top || { echo "top did not start"; exit 1; }
     "$tools/clean" || :
     if pgrep -U "$SLOT" top; then pkill -9 -U "$SLOT" top; echo it still runs; else echo it is gone; fi'

# A sandboxed program makes Library/Containers with a file that not even root may delete without
# Full Disk Access: run by launchd, since Terminal may have been given that.
check sandbox-container-goes 'change root daemon slot xcode limit=180' '^the home is empty or kept aside$' \
    'slot=$here/slot; "$tools/clean" >/dev/null 2>&1 || :
     cat >box.c <<C
int main(void) { return 0; }
C
     cat >Info.plist <<P
<plist version="1.0"><dict><key>CFBundleIdentifier</key><string>dev.russet.verify.box</string></dict></plist>
P
     cat >box.entitlements <<P
<plist version="1.0"><dict><key>com.apple.security.app-sandbox</key><true/></dict></plist>
P
     cc -sectcreate __TEXT __info_plist Info.plist -o box box.c
     codesign -f -s - --entitlements box.entitlements box
     perl "$tools/as-slot.pl" "$SLOT" "$slot/home" /dev/stdin <<S
HOME=$slot/home $here/box; ls -la Library/Containers || :
S
     "$tools/clean" || :
     if [ -z "$(ls -A "$slot/home" 2>/dev/null)" ]; then echo the home is empty or kept aside
     else find "$slot/home" | head -n 20; fi'

check metal-in-two-slots 'change root slot second-slot xcode limit=300' '^both found it$' \
    'for user in "$SLOT" _russet2; do
         home=$(mktemp -d /tmp/russet-metal.XXXXXX); chown "$user" "$home"
         sudo -u "$user" env HOME="$home" xcrun --find metal || { echo "$user does not find it"; mount | grep -i metal; exit 1; }
     done
     mount | grep -i metal || :
     echo both found it'

check session-domain-empties 'change root slot limit=120' '^(0|36)$' \
    'sudo -u "$SLOT" launchctl print "user/$(id -u "$SLOT")" >/dev/null 2>&1 || :
     launchctl bootout "user/$(id -u "$SLOT")" >/dev/null 2>&1 && echo 0 || echo $?'
