# Making users
# shellcheck shell=sh disable=SC2016

# The whole record at once, as the agent makes it. Deleted again, where macOS lets us.
make_user='name=_russetverify$$ uid=59990
cat >user.txt <<U
0x0A 0x5C 0x3A 0x2C dsRecTypeStandard:Users 6 dsAttrTypeStandard:RecordName dsAttrTypeStandard:UniqueID dsAttrTypeStandard:PrimaryGroupID dsAttrTypeStandard:NFSHomeDirectory dsAttrTypeStandard:UserShell dsAttrTypeNative:IsHidden
$name:$uid:20:/var/empty:/usr/bin/false:1
U
dsimport user.txt /Local/Default O >said 2>&1; code=$?; cat said
if dscl . -read "/Users/$name" NFSHomeDirectory; then echo made
elif grep -q -e -14120 said; then echo refused: Full Disk Access is needed
else echo "failed with $code"; fi
dscl . -delete "/Users/$name" >/dev/null 2>&1 || echo "could not delete $name"'

check user-made-from-terminal 'change root' '^(made|refused: Full Disk Access is needed)$' "$make_user"

check user-made-from-launchd 'change root daemon' '^(made|refused: Full Disk Access is needed)$' "$make_user"

check user-made-over-ssh 'change ssh' '^(made|refused: Full Disk Access is needed)$' \
    'cd "$(mktemp -d)"
'"$make_user"

check user-made-by-installer 'change eyes package root' 'no question' \
    'echo "Open $RUSSET_PKG in the Finder and install it. Did it finish, with no question of macOS about administering this computer?"; echo no question'
