# Housekeeping
# shellcheck shell=sh disable=SC2016

check user-directories - '^/var/folders/.+/0/$' \
    'getconf DARWIN_USER_TEMP_DIR | grep /T/ && getconf DARWIN_USER_CACHE_DIR | grep /C/ && getconf DARWIN_USER_DIR'

check protected-files-go change '^nothing is left$' \
    '"$tools/job" protect "mkdir -p ~/russet-a ~/russet-c; touch ~/russet-a/b ~/russet-c/d
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

# As root it would show nothing: root may unmount everything.
check unmount-by-owner 'change not-root' '^unmounted$' \
    'umount -f "$here/mounted"
     echo unmounted; hdiutil info | sed -n "/image.dmg/,/^=/s|^\(/dev/disk[0-9]*\).*|\1|p" | head -n 1 | xargs -n 1 hdiutil detach -force >/dev/null 2>&1 || :'

check disk-image-goes 'change root slot' '^it is gone$' \
    'image=/tmp/russet-verify-$$.dmg
     sudo -u _russet1 hdiutil create -quiet -size 5m -fs HFS+ -volname russet "$image"
     sudo -u _russet1 hdiutil attach -quiet -nobrowse "$image"
     hdiutil info | grep "$image"
     "$tools/clean"
     if hdiutil info | grep -q "$image" || [ -e "$image" ]; then echo it is still there; else echo it is gone; fi'

check user-domain-form - 'services = \{' 'launchctl print "user/$(id -u)"'

check user-domain-ends 'change root slot' '^(0|3|113|125)$' \
    'launchctl bootout "user/$(id -u _russet1)" >/dev/null 2>&1 && echo 0 || echo $?'

check kill-all-but-me 'change root slot' '^cleaned and gone$' \
    'sudo -u _russet1 /bin/sh -c "sleep 602 >/dev/null 2>&1 &"
     pgrep -u _russet1 -f "sleep 602"
     "$tools/clean"
     if pgrep -u _russet1 -f "sleep 602" >/dev/null; then echo it still runs; else echo cleaned and gone; fi'

check ipc-tools - '^T +ID +KEY +MODE +OWNER' 'ipcs -a'
