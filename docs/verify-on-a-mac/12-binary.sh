# The binary
# shellcheck shell=sh disable=SC2016

check binary-runs - '^russet [0-9]' '"$RUSSET" --version'

check run-a-job change 'verified-42' '"$tools/job" hello "echo verified-\$((40 + 2))"'

check timeout-shows-processes change ' S +0:[0-9.]+ +0:00\.[0-9]+ +[0-9.]+ [kM]?B  sleep 600' \
    '"$tools/job" hang "sleep 600; true" "no_output_timeout: 5s" || :'

check leftovers-are-ended change '^none is left$' \
    'time=$((100000 + $$))
     "$tools/job" leave "perl -e \"use POSIX; fork and exit; POSIX::setsid(); exec q(sleep), $time\" & sleep 1; true" | tee job.log
     grep "sleep $time (pid" job.log
     if pkill -f "^sleep $time"; then echo it was left; else echo none is left; fi'

check cache-keeps-attributes change '^kept by the cache$' \
    '"$tools/steps" cached <<STEPS
- run: echo x > f; xattr -w dev.russet.test "kept by the cache" f
- save_cache:
    key: x-{{ arch }}-{{ checksum "f" }}
    paths: [f]
- run: rm f
- restore_cache: {keys: [x-darwin-]}
- run: xattr -p dev.russet.test f
STEPS'

check cache-clones change '^Cloned 1 entries of ' \
    '"$tools/steps" cloned <<STEPS
- run: head -c 1000000 /dev/urandom > f
- save_cache: {key: large, paths: [f]}
- run: cksum f; rm f
- restore_cache: {keys: [large]}
- run: cksum f; rm f
- restore_cache: {keys: [large]}
- run: cksum f
STEPS'

check bundle-with-attributes change '^valid after it went through, with its attribute$' \
    'bundle=Signed.app/Contents
     "$tools/steps" bundle <<STEPS
- run: |
    mkdir -p $bundle/MacOS $bundle/Resources; cp /bin/echo $bundle/MacOS/Signed
    plutil -create xml1 $bundle/Info.plist
    plutil -insert CFBundleExecutable -string Signed $bundle/Info.plist
    plutil -insert CFBundleIdentifier -string dev.russet.verify $bundle/Info.plist
    echo text > $bundle/Resources/a; ln -s a $bundle/Resources/link
    codesign --force --sign - Signed.app && codesign --verify --strict Signed.app
    xattr -w dev.russet.test "with its attribute" $bundle/Resources/a
- store_artifacts: {path: Signed.app}
STEPS
     app=$(find "$here/state" -name Signed.app -type d | head -n 1)
     codesign --verify --strict --verbose "$app" && test -L "$app/Contents/Resources/link" &&
         echo "$("$app/Contents/MacOS/Signed" valid after it went through), $(xattr -p dev.russet.test "$app/Contents/Resources/a")"'

check setup-curl change '^ours$' \
    '"$tools/steps" setup "setup: true\n" <<STEPS
- run: test "\$(command -v curl)" != /usr/bin/curl && echo ours
STEPS'
