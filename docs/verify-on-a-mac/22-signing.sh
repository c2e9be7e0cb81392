# Signing as a slot's user
# shellcheck shell=sh disable=SC2016

# A certificate of its own, in a keychain below HOME, made the search list and the default: then a
# new process signs with it. /usr/bin/openssl: others write .p12 files that macOS before 15 refuses.
sign_in_home='keychain=$HOME/Library/Keychains/russet.keychain-db
/usr/bin/openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=russet-verify -addext keyUsage=digitalSignature -addext extendedKeyUsage=codeSigning -keyout k.pem -out c.pem 2>/dev/null
/usr/bin/openssl pkcs12 -export -inkey k.pem -in c.pem -name russet-verify -out x.p12 -passout pass:opensesame
tell() { printf "%s\n" "$1" | security -i; }
tell "create-keychain -p x $keychain" && tell "set-keychain-settings $keychain" &&
tell "unlock-keychain -p x $keychain" &&
tell "import $HOME/x.p12 -k $keychain -f pkcs12 -P opensesame -T /usr/bin/codesign" &&
tell "set-key-partition-list -S apple-tool:,apple:,codesign: -s -k x $keychain" >/dev/null &&
tell "list-keychains -d user -s $keychain" && tell "default-keychain -d user -s $keychain"
security list-keychains -d user | grep -q "russet.keychain-db" || { echo "the search list was not stored"; exit 1; }
security default-keychain -d user | grep -q "russet.keychain-db" || { echo "the default keychain was not stored"; exit 1; }
cp /bin/ls signed && codesign -f -s russet-verify signed && codesign -dv signed 2>&1 && echo signed without a question'

check signing-in-a-fresh-home 'change as-slot limit=120' '^signed without a question$' \
    'mkdir -p "$HOME/Library/Keychains" "$HOME/Library/Preferences"
chmod 700 "$HOME/Library/Preferences"
'"$sign_in_home"

check signing-needs-preferences 'change as-slot limit=120' '^the search list was not stored$' \
    'mkdir -p "$HOME/Library/Keychains"
('"$sign_in_home"') || :'

check signing-in-a-job 'change limit=300 signing-class' '^Authority=' \
    '"$tools/submit" signing "$RUSSET_SIGNING_CLASS" <<STEPS
- run: cp /bin/ls signed
- run: codesign -f -s "${RUSSET_SIGNING_IDENTITY:-Apple}" signed
- run: codesign -dvv signed
STEPS'

check bundle-comes-back 'change limit=300 class' '^valid on disk and whole$' \
    '"$tools/submit" bundle "$RUSSET_CLASS" <<STEPS
- run: mkdir out; cp -Rp "/System/Applications/TextEdit.app" out/Signed.app
- store_artifacts: {path: out}
STEPS
"$RUSSET" job artifacts "$(cat "$here/submit-bundle.job")" --download "$here/back"
app=$(find "$here/back" -name Signed.app -type d | head -n 1)
codesign --verify --strict --deep "$app" && echo valid on disk and whole'
