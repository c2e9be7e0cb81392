# Tokens and credentials
# shellcheck shell=sh disable=SC2016

check security-session 'change root slot' '^0$' '"$tools/clean" >/dev/null 2>&1; echo $?'

check security-interactive change 'already exists' \
    'tell() { printf "%s\n" "$1" | security -i; }
     create="\"create-keychain\" \"-p\" \"a \\\"b\\\" \\\\ c\" \"$here/x.keychain-db\""
     tell "$create" || exit 1
     tell "$create" 2>&1 && echo it was made twice
     security unlock-keychain -p "a \"b\" \\ c" "$here/x.keychain-db"
     security delete-keychain "$here/x.keychain-db"'

check security-list-form - '^ *"/.*"$' 'security list-keychains -d user'

check security-identity-form - 'Valid identities only' 'security find-identity'

check security-profile-form xcode '<key>UUID</key>|^none here$' \
    'for dir in "$HOME/Library/MobileDevice" "$HOME/Library/Developer/Xcode/UserData"; do
         for file in "$dir/Provisioning Profiles"/*; do
             if [ -f "$file" ]; then security cms -D -i "$file"; exit; fi
         done
     done; echo none here'

check task-keychain change '1 identities found' \
    '/usr/bin/openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=russet-verify -keyout k.pem -out c.pem
     /usr/bin/openssl pkcs12 -export -inkey k.pem -in c.pem -out x.p12 -passout pass:opensesame
     keychain="$here/russet-task-verify.keychain-db"
     tell() { printf "%s\n" "$1" | security -i; }
     tell "create-keychain -p x $keychain" && tell "set-keychain-settings $keychain" &&
     tell "unlock-keychain -p x $keychain" &&
     tell "import $here/x.p12 -k $keychain -f pkcs12 -P opensesame -T /usr/bin/codesign" &&
     tell "set-key-partition-list -S apple-tool:,apple:,codesign: -s -k x $keychain" &&
     tell "find-identity $keychain"; code=$?
     security delete-keychain "$keychain"; exit $code'
