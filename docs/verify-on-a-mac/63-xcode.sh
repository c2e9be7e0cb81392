# Xcodes by version
# shellcheck shell=sh disable=SC2016

check xcode-by-version xcode '^same [0-9.]+' \
    'version=$(plutil -extract CFBundleShortVersionString raw "$(xcode-select -p)/../version.plist")
     "$RUSSET" agent doctor --output json >"$here/doctor.json" || [ $? -ge 20 ]
     grep -F "; simulators: " "$here/doctor.json" | grep -F "$version" >/dev/null
     xcodebuild -version | grep -qx "Xcode $version" && echo "same $version"'

check xcode-licence-form xcode '^licenseType (GM|Beta)$' \
    'echo "licenseType $(plutil -extract licenseType raw "$(xcode-select -p)/../Resources/LicenseInfo.plist")"'

check simulator-images-form xcode '"bundleIdentifier" => "com\.apple\.CoreSimulator\.SimRuntime\.' \
    'plutil -p /Library/Developer/CoreSimulator/Images/images.plist'

check xcode-asked-as-nobody 'root xcode limit=180' '^same [0-9]+ [0-9]+$' \
    'dir=$(xcode-select -p)
     ask() {
         licence=0 first=0
         "$@" env DEVELOPER_DIR="$dir" "$dir/usr/bin/xcodebuild" -license check >/dev/null 2>&1 || licence=$?
         "$@" env DEVELOPER_DIR="$dir" "$dir/usr/bin/xcodebuild" -checkFirstLaunchStatus >/dev/null 2>&1 || first=$?
         echo "$licence $first"
     }
     mine=$(ask) theirs=$(ask sudo -n -u nobody)
     echo "root $mine, nobody $theirs"
     [ "$mine" = "$theirs" ] && echo "same $mine"'

check xcode-of-a-job 'change class xcode limit=180' '^same ' \
    'version=$(plutil -extract CFBundleShortVersionString raw "$(xcode-select -p)/../version.plist")
     mkdir -p xcode-job/.circleci
     printf "version: 2.1\njobs:\n  job:\n    macos: {xcode: \"%s\"}\n    resource_class: %s\n    steps:\n      - run: xcodebuild -version\nworkflows:\n  main:\n    jobs: [job]\n" "$version" "$RUSSET_CLASS" >xcode-job/.circleci/config.yml
     "$RUSSET" pipeline submit xcode-job --watch >xcode-job.log 2>&1 || { cat xcode-job.log; exit 1; }
     grep -F "Xcode $version" xcode-job.log && echo "same $version"'
