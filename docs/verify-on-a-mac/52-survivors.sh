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
     status=0; "$tools/clean" || status=$?
     echo "the helper ended with $status"
     # 77: the system refuses it, and root moves the directory, which has to work without a grant.
     if [ $status = 77 ]; then
         mkdir -m 700 "$here/aside"; mv "$slot/home" "$here/aside/home"; find "$here/aside" | head -n 20
     fi
     if [ -z "$(ls -A "$slot/home" 2>/dev/null)" ]; then echo the home is empty or kept aside
     else find "$slot/home" | head -n 20; fi'

check metal-in-two-slots 'change root slot second-slot xcode limit=300' '^both found it$' \
    'for user in "$SLOT" _russet2; do
         home=$(mktemp -d /tmp/russet-metal.XXXXXX); chown "$user" "$home"
         sudo -u "$user" env HOME="$home" xcrun --find metal || { echo "$user does not find it"; mount | grep -i metal; exit 1; }
     done
     mount | grep -i metal || :
     mount | sed -n "s|^\(/dev/disk[^ ]*\) on .*/russet-metal\.[^ ]* .*|\1|p" | while read -r device; do
         hdiutil detach "$device" -force || diskutil unmount force "$device"
     done
     rm -rf /tmp/russet-metal.*
     echo both found it'

# The same by jobs of the installed agent: whatever they leave, the slot is free again.
check slot-free-after-xcode 'change root agent class xcode limit=400' '^the slots are free$' \
    '"$tools/submit" leftovers "$RUSSET_CLASS" <<STEPS
- run: "xcrun --find metal || :"
- run: |
    echo "int main(void) { return 0; }" >box.c
    echo "<plist version=\"1.0\"><dict><key>CFBundleIdentifier</key><string>dev.russet.verify.box</string></dict></plist>" >Info.plist
    echo "<plist version=\"1.0\"><dict><key>com.apple.security.app-sandbox</key><true/></dict></plist>" >box.entitlements
    cc -sectcreate __TEXT __info_plist Info.plist -o box box.c
    codesign -f -s - --entitlements box.entitlements box
    ./box; ls -laO ~/Library/Containers || :
- run: (top -l 0 >/dev/null 2>&1 &)
STEPS
     second=0
     while "$RUSSET" agent status | grep -E "held|cleaning"; do
         second=$((second + 2)); [ $second -lt 120 ] || { "$RUSSET" agent status; exit 1; }; sleep 2
     done
     "$RUSSET" agent status | grep "kept aside" || echo nothing is kept aside
     echo the slots are free'

check session-domain-empties 'change root slot limit=120' '^(0|36)$' \
    'sudo -u "$SLOT" launchctl print "user/$(id -u "$SLOT")" >/dev/null 2>&1 || :
     launchctl bootout "user/$(id -u "$SLOT")" >/dev/null 2>&1 && echo 0 || echo $?'
