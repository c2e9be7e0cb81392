# Making users
# shellcheck shell=sh disable=SC2016

# As the agent does it: the whole record at once, else attribute by attribute, the home first.
# dsimport prints nothing and ends with 0 whatever came of it; its report, and the database, say it.
# Deleted again, where macOS lets us.
make_user='name=_russetverify$$ uid=59990
printf "%s\n%s\n" "0x0A 0x5C 0x3A 0x2C dsRecTypeStandard:Users 8 dsAttrTypeStandard:RecordName dsAttrTypeStandard:UniqueID dsAttrTypeStandard:Password dsAttrTypeStandard:NFSHomeDirectory dsAttrTypeStandard:PrimaryGroupID dsAttrTypeStandard:UserShell dsAttrTypeNative:IsHidden dsAttrTypeStandard:RealName" "$name:$uid:*:/var/empty:20:/usr/bin/false:1:Russet" >user.txt
dsimport user.txt /Local/Default I --outputfile report.plist; echo "dsimport ended with $?"; cat report.plist
how="at once"
if ! dscl . -read "/Users/$name" UniqueID >/dev/null 2>&1; then
    how="by attributes"
    { dscl . -create "/Users/$name" NFSHomeDirectory /var/empty && dscl . -create "/Users/$name" UniqueID $uid; } >said 2>&1
    cat said
fi
record=$(dscl . -read "/Users/$name" 2>&1); echo "$record"
if echo "$record" | grep -q "^AuthenticationAuthority"; then echo "it can log in"
elif echo "$record" | grep -q "^NFSHomeDirectory: /var/empty" && echo "$record" | grep -q "^UniqueID: $uid"; then echo "made $how"
elif grep -q -e -14120 said 2>/dev/null; then echo refused: Full Disk Access is needed
else echo it was not made; fi
dscl . -delete "/Users/$name" >/dev/null 2>&1 || echo "could not delete $name"'

check user-made-from-terminal 'change root' '^(made (at once|by attributes)|refused: Full Disk Access is needed)$' "$make_user"

check user-made-from-launchd 'change root daemon' '^(made (at once|by attributes)|refused: Full Disk Access is needed)$' "$make_user"

check user-made-over-ssh 'change ssh' '^(made (at once|by attributes)|refused: Full Disk Access is needed)$' \
    'cd "$(mktemp -d)"
'"$make_user"

check user-made-by-installer 'change eyes package root' 'no question' \
    'echo "Open $RUSSET_PKG in the Finder and install it. Did it finish, with no question of macOS about administering this computer?"; echo no question'
