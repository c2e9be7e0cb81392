# Preparing an Xcode, and simulators
# shellcheck shell=sh disable=SC2016

check prepare-looks 'xcode limit=900' '"outcome": "(ready|planned)"' \
    '"$RUSSET" agent prepare --runtimes iOS --dry-run --output json >"$here/prepare.json"
     cat "$here/prepare.json"
     ! grep -q "\"failed\"" "$here/prepare.json"'

check metal-toolchain-form 'xcode limit=300' '(Status: |-showComponent)' \
    'xcodebuild -showComponent MetalToolchain 2>&1 || :'

check runtime-list-form 'xcode limit=300' '("platformIdentifier"|^[[]])' 'xcrun simctl runtime list -j'

check caches-are-made 'change root xcode limit=3600' '^(made|Unrecognized subcommand.*)$' \
    'xcrun simctl runtime dyld_shared_cache update --all 2>&1 && echo made || :'

check root-makes-simulators 'change root xcode limit=1200' '^root has a set$' \
    'HOME=/var/root xcrun simctl list devices >/dev/null
     plutil -lint /var/root/Library/Developer/CoreSimulator/Devices/device_set.plist && echo root has a set'

check cloned-simulators 'change as-slot xcode skeleton limit=900' '^the same devices$' \
    'mkdir -p "$HOME/Library/Developer/CoreSimulator" "$HOME/Library/Preferences"
     cp -R -c "$RUSSET_SKELETON/Library/Developer/CoreSimulator/Devices" "$HOME/Library/Developer/CoreSimulator/"
     chmod -R u+rwX "$HOME/Library/Developer"
     ls "$HOME/Library/Developer/CoreSimulator/Devices" | grep "^[0-9A-F-]*$" | sort >wanted
     xcrun simctl list devices available | sed -n "s/.*(\([0-9A-F-]\{36\}\)).*/\1/p" | sort >listed
     if [ -s listed ] && [ -z "$(comm -13 wanted listed)" ]; then echo the same devices; else comm -13 wanted listed; fi'

check simulator-boots 'change as-slot xcode limit=900' '^booted$' \
    'mkdir -p "$HOME/Library/Preferences" "$HOME/Library/Logs" "$HOME/Library/Caches"
     device=$(xcrun simctl list devices available | sed -n "s/.*iPhone.*(\([0-9A-F-]\{36\}\)).*/\1/p" | head -n 1)
     xcrun simctl bootstatus "$device" -b && echo booted
     ps -U "$(id -u)" | wc -l
     xcrun simctl shutdown "$device"'

check background-refusal-is-told 'change limit=1200 class xcode' 'hint: this class has no session at the screen' \
    '"$tools/submit" refusal "$RUSSET_CLASS" <<STEPS
- run: mkdir p \&\& cd p \&\& swift package init --type library --name P \&\& xcodebuild test -scheme P -destination platform=macOS
STEPS'
