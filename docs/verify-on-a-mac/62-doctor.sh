# Doctor
# shellcheck shell=sh disable=SC2016

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
