# Directories of tasks
# shellcheck shell=sh disable=SC2016

check data-without-links 'root agent' '^no link on the way$' \
    'dir=/opt/russet/data/slots/1/home
     [ -d "$dir" ] || { echo "there is no $dir"; exit 1; }
     real=$(cd "$dir" && pwd -P)
     if [ "$real" = "$dir" ]; then echo no link on the way; else echo "$real"; fi'

check data-on-one-volume 'root agent' '^one volume$' \
    'one=$(stat -f %d /private/var/db/russet) other=$(stat -f %d /opt/russet/data)
     if [ "$one" = "$other" ]; then echo one volume; else echo "$one $other"; fi'

# Two frameworks for one platform would be refused, so it is one.
check xcframework-in-a-home 'change as-slot xcode limit=180' '^xcframework successfully written out to' \
    'mkdir -p One.framework && echo "int one(void) { return 1; }" >one.c
cc -dynamiclib -install_name @rpath/One.framework/One -o One.framework/One one.c
cat >One.framework/Info.plist <<P
<plist version="1.0"><dict><key>CFBundleIdentifier</key><string>dev.russet.verify.one</string>
<key>CFBundleExecutable</key><string>One</string><key>CFBundlePackageType</key><string>FMWK</string>
<key>CFBundleName</key><string>One</string><key>CFBundleVersion</key><string>1</string></dict></plist>
P
xcodebuild -create-xcframework -framework "$HOME/One.framework" -output "$HOME/One.xcframework" 2>&1'

check xcframework-in-a-job 'change limit=300 class xcode' '^xcframework successfully written out to' \
    '"$tools/submit" xcframework "$RUSSET_CLASS" <<STEPS
- run: |
    mkdir -p out/One.framework; echo "int one(void) { return 1; }" >one.c
    cc -dynamiclib -install_name @rpath/One.framework/One -o out/One.framework/One one.c
    printf "<plist version=\"1.0\"><dict><key>CFBundleIdentifier</key><string>dev.russet.one</string><key>CFBundleExecutable</key><string>One</string><key>CFBundlePackageType</key><string>FMWK</string></dict></plist>" >out/One.framework/Info.plist
    xcodebuild -create-xcframework -framework "\$CIRCLE_WORKING_DIRECTORY/out/One.framework" -output "\$CIRCLE_WORKING_DIRECTORY/One.xcframework"
STEPS'

check volume-ignores-owners 'change root' '^ignored, then kept$' \
    'hdiutil create -quiet -size 20m -fs APFS -volname russet-owners owners.dmg
     hdiutil attach -quiet -nobrowse -owners off -mountpoint "$here/mounted" owners.dmg
     mkdir "$here/mounted/data"
     printf "api: {url: http://127.0.0.1:1, auth_token: x}\nrunner: {name: verify, state_directory: %s, data_directory: %s}\n" "$here/state" "$here/mounted/data" >agent.yaml
     chmod 600 agent.yaml
     "$RUSSET" agent doctor --config "$here/agent.yaml" >off 2>&1 || :
     "$RUSSET" agent run --config "$here/agent.yaml" >start 2>&1 && { echo it started; exit 1; }
     cat start
     grep -q "diskutil enableOwnership" off && grep -q "diskutil enableOwnership" start || { cat off; exit 1; }
     diskutil enableOwnership "$here/mounted" >/dev/null
     "$RUSSET" agent doctor --config "$here/agent.yaml" >on 2>&1 || :
     hdiutil detach -quiet -force "$here/mounted"
     if grep -q "ignores who owns" on; then cat on; else echo ignored, then kept; fi'

check slots-not-indexed 'root agent' '^(not indexed|Indexing disabled.*)$' \
    'mkdir -p /opt/russet/data/verify; echo "russetverifyword" >/opt/russet/data/verify/russetverify.txt; sleep 20
     found=$(mdfind -onlyin /opt/russet/data russetverifyword || :); rm -rf /opt/russet/data/verify
     if [ -z "$found" ]; then echo not indexed; else echo "$found"; fi'
