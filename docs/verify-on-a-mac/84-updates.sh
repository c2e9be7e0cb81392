# Updates
# shellcheck shell=sh disable=SC2016

# What a bundle of a team has to be, as the agent asks it.
required() {
    printf '%s and identifier "dev.russet.agent" and certificate leaf[subject.OU] = "%s" and %s' \
        'anchor apple generic' "$1" 'certificate leaf[field.1.2.840.113635.100.6.1.13] exists'
}
required=$(required "${RUSSET_TEAM_ID:-}") another=$(required NOBODY0000)
export required another

check update-requirement 'agent team' '^met$' \
    'codesign --verify --strict --all-architectures --deep -R="$required" /opt/russet/RussetAgent.app && echo met'

check update-refuses-another-team 'agent team' '^refused$' \
    'codesign --verify --strict --all-architectures --deep -R="$another" /opt/russet/RussetAgent.app || echo refused'

check update-exchanges-an-app 'change root agent' '^exchanged and valid$' \
    'place=$(mktemp -d /opt/russet/verify.XXXXXX)
     trap "rm -rf \"$place\"" EXIT
     cd "$place" && cp -Rp ../RussetAgent.app a.app && cp -Rp ../RussetAgent.app b.app
     a=$(stat -f "%i %Fm" a.app) b=$(stat -f "%i %Fm" b.app)
     perl -e "syscall(488, -2, my \$a = q(a.app), -2, my \$b = q(b.app), 2) == 0 or die \$!"
     [ "$(stat -f "%i %Fm" a.app)" = "$b" ] && [ "$(stat -f "%i %Fm" b.app)" = "$a" ] &&
         codesign --verify --strict a.app && codesign --verify --strict b.app && echo exchanged and valid'

check update-of-a-package 'change root agent release' 'valid on disk' \
    '"$RUSSET" agent update install --wait && "$RUSSET" agent update status | grep "^Version $RUSSET_UPDATE runs" &&
         codesign --verify --strict --all-architectures --verbose=2 /opt/russet/RussetAgent.app 2>&1'

check update-keeps-the-one-before updated 'valid on disk' \
    'codesign --verify --strict --verbose=2 /opt/russet/previous 2>&1'
