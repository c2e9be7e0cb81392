# The machine that an installation is for, and who can change what it trusts
# shellcheck shell=sh disable=SC2016

seal=/Library/Preferences/dev.russet.agent/machine.json
export seal

# The IOPlatformUUID in lower case, as the agent notes it.
check hardware-is-noted agent '^the same id$' \
    'here=$(ioreg -rd1 -c IOPlatformExpertDevice | sed -n "s/.*\"IOPlatformUUID\" = \"\(.*\)\"/\1/p" | tr A-F a-f)
     noted=$(sed -n "s/.*\"hardware\": *\"\([^\"]*\)\".*/\1/p" "$seal")
     if grep -q "\"image\": *true" "$seal" || [ "$here" = "$noted" ]; then echo the same id; else echo "$here, noted $noted"; fi'

# As a copied disk has it: the note of another Mac.
check copied-disk-is-held 'change root agent limit=180' '^held, and accepted$' \
    'cp -p "$seal" noted.json
     trap "cp -p noted.json \"$seal\"; \"$RUSSET\" agent restart >/dev/null 2>&1" EXIT
     printf "{\"version\": 1, \"hardware\": \"564d1c5b-2a2c-9f5d-6e0f-2b3c4d5e6f70\"}\n" >"$seal"
     held() { "$RUSSET" agent status --output json | tr -d " \n" | grep -q "\"source\":\"machine\""; }
     "$RUSSET" agent restart >/dev/null 2>&1 || :
     held && "$RUSSET" agent accept-machine && ! held && echo held, and accepted'

# The mode says that nobody else may write; the access list says that everybody may.
check access-list-is-refused change 'its access list lets group everyone' \
    'mkdir -m 755 skeleton; chmod +a "everyone allow add_file,file_inherit" skeleton; ls -led skeleton
     printf "api: {auth_token: x}\nrunner: {name: verify, home_skeleton: %s}\n" "$here/skeleton" >listed.yaml
     chmod 600 listed.yaml
     "$RUSSET" agent doctor --config "$here/listed.yaml" --output json || [ $? -ge 20 ]'

# macOS puts such an entry on every home; it lets nobody write.
check access-list-that-denies-is-taken change '^taken$' \
    'mkdir -m 755 denied; chmod +a "everyone deny delete" denied; ls -led denied
     printf "api: {auth_token: x}\nrunner: {name: verify, home_skeleton: %s}\n" "$here/denied" >denied.yaml
     chmod 600 denied.yaml
     "$RUSSET" agent doctor --config "$here/denied.yaml" --output json >said || [ $? -ge 20 ]
     if grep "access list" said; then echo refused; else echo taken; fi'

# The Intel half of the binary, where Rosetta is installed.
check rosetta-is-refused change '(install the universal binary|Bad CPU type|no Apple silicon)' \
    'printf "api: {auth_token: x, url: \"http://127.0.0.1:1\"}\nrunner: {name: verify, state_directory: %s}\n" "$here/state" >intel.yaml
     chmod 600 intel.yaml
     if [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then
         arch -x86_64 "$RUSSET" agent run --config "$here/intel.yaml" 2>&1 || :
     else echo no Apple silicon; fi'
