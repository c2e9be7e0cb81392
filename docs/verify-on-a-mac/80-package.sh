# The package
# shellcheck shell=sh disable=SC2016

check package-signature package '^ *Status: signed by' 'pkgutil --check-signature "$RUSSET_PKG"'

check package-accepted package 'accepted$' 'spctl --assess --type install -vv "$RUSSET_PKG" 2>&1'

check package-ticket 'package xcode' 'validate action worked' 'xcrun stapler validate "$RUSSET_PKG"'

check package-payload package '^(\./)?opt/russet/incoming/agent/RussetAgent\.app/Contents/MacOS/russet$' \
    'pkgutil --payload-files "$RUSSET_PKG"'

check package-bom 'package change' '^\./opt/russet/incoming/agent/russet-boot[[:space:]]+100755[[:space:]]+0/0' \
    'pkgutil --expand "$RUSSET_PKG" "$here/package" && lsbom "$here/package/agent.pkg/Bom"'

check package-is-closed 'package change' '^\./opt/russet/incoming[[:space:]]+40700[[:space:]]+0/0' \
    'pkgutil --expand "$RUSSET_PKG" "$here/closed" && lsbom "$here/closed/agent.pkg/Bom" && lsbom "$here/closed/menubar.pkg/Bom"'

check package-receipt agent '^version: [0-9]+\.[0-9]+\.[0-9]+$' 'pkgutil --pkg-info dev.russet.agent.pkg'

check installed-signature agent 'valid on disk' \
    'codesign --verify --strict --all-architectures --verbose=2 /opt/russet/RussetAgent.app 2>&1'
