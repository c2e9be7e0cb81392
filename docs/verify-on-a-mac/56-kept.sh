# Directories that outlive tasks
# shellcheck shell=sh disable=SC2016

check home-as-createhomedir 'change limit=180 class' '^the same directories$' \
    '"$tools/submit" home "$RUSSET_CLASS" <<STEPS
- run: |
    for dir in Desktop Documents Downloads Library Movies Music Pictures Public "Public/Drop Box"; do stat -f "%OLp %N" "\$HOME/\$dir" | sed "s|\$HOME/||"; done
STEPS
for line in "700 Desktop" "700 Documents" "700 Downloads" "700 Library" "700 Movies" "700 Music" "700 Pictures" "755 Public" "733 Public/Drop Box"; do
    grep -q "$line" "$here/submit-home.log" || { echo "not $line"; exit 1; }
done
echo the same directories'

# The template that createhomedir copies, for what we leave out of it.
check user-template 'root' '^Library$' \
    'ls "/System/Library/User Template/Non_localized" "/Library/User Template/Non_localized" 2>/dev/null | sort -u'

check provenance-left-out 'change limit=300 class' '^no attribute was refused$' \
    '"$tools/submit" provenance "$RUSSET_CLASS" <<STEPS
- run: mkdir -p tree && cp /bin/ls tree/ls && codesign -f -s - tree/ls && xattr -l tree/ls
- save_cache: {key: "russet-verify-{{ epoch }}", paths: [tree]}
- run: rm -rf tree
- restore_cache: {keys: ["russet-verify-"]}
- run: codesign --verify tree/ls && echo signed still
STEPS
grep -q "signed still" "$here/submit-provenance.log" || exit 1
if grep -q "extended attributes could not be set" "$here/submit-provenance.log"; then echo refused; else echo no attribute was refused; fi'

# The class keeps derived-data and has two slots or more; the second build of each slot compiles nothing.
check derived-data-warm-in-each-slot 'change limit=900 kept-class xcode' '^warm in each slot$' \
    'for round in 1 2 3 4; do
    for half in a b; do
        "$tools/submit" "warm-$round-$half" "$RUSSET_KEPT_CLASS" <<STEPS &
- run: |
    mkdir -p App/Sources/App && cd App && echo "print(1)" >Sources/App/main.swift
    printf "// swift-tools-version:5.5\nimport PackageDescription\nlet package = Package(name: \"App\", targets: [.executableTarget(name: \"App\")])\n" >Package.swift
    find . -exec touch -t 202001010000 {} +
    xcodebuild -scheme App -destination platform=macOS build 2>&1 | tee log | grep -c "^SwiftCompile\|^CompileSwift" | sed "s/^/slot \$RUSSET_SLOT compiled /"; sleep 20
STEPS
    done
    wait
done
cat "$here"/submit-warm-[34]-?.log | grep "^slot [0-9]* compiled" | sort -u >compiled
cat compiled
if [ -s compiled ] && ! grep -v "compiled 0$" compiled; then echo warm in each slot; fi'
