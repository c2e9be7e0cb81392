# A class at the screen
# shellcheck shell=sh disable=SC2016

check gui-audit-session 'change root gui gui-class limit=300' '^the same session$' \
    '"$tools/submit" asid "$RUSSET_GUI_CLASS" <<STEPS
- run: launchctl print "pid/\$\$" | sed -n "s/.*asid = \([0-9]*\).*/task asid \1/p"
STEPS
     finder=$(pgrep -x -u "$screen" Finder | head -n 1)
     wanted=$(launchctl print "pid/$finder" | sed -n "s/.*asid = \([0-9]*\).*/\1/p")
     if grep -q "task asid $wanted\$" "$here/submit-asid.log"; then echo the same session; else echo "Finder has $wanted"; fi'

check gui-keeps-the-session 'change root gui gui-class limit=300' '^nothing of the session went$' \
    'state() { mount | grep "mounted by" | sort; ls -d /private/tmp/com.apple.launchd.* 2>/dev/null | sort; }
     state >before
     "$tools/submit" keeps "$RUSSET_GUI_CLASS" <<STEPS
- run: "true"
STEPS
     sleep 5; state >after
     if [ -z "$(comm -23 before after)" ]; then echo nothing of the session went; else comm -23 before after; fi'

check gui-ui-scripting 'change gui gui-class limit=300' 'answered by Finder' \
    '"$tools/submit" script "$RUSSET_GUI_CLASS" <<STEPS
- run: osascript -e "tell application \"Finder\" to get name of startup disk" && echo answered by Finder
STEPS'

check step-asks-for-events 'change limit=120' '(answered by Finder|-1743|-600)' \
    '"$tools/job" events "osascript -e \"tell application \\\"Finder\\\" to get name of startup disk\" && echo answered by Finder || :"'

check screen-stays-unlocked 'gui' '^(unlocked|1)$' \
    'ioreg -n Root -d1 -a | plutil -extract IOConsoleLocked raw - 2>/dev/null | sed "s/false/unlocked/; s/true/locked/"'
