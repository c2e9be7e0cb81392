# What only eyes can see
# shellcheck shell=sh disable=SC2016

check log-window-in-dark-mode 'eyes companion gui' 'readable' \
    'echo "Switch to dark mode (System Settings, Appearance) and open the log from the menu. Is its text readable?"'

check notification-appears 'eyes companion gui agent change root' 'notification' \
    '"$RUSSET" agent pause --reason "a notification" --for 30s; echo "Was there a notification that the agent is paused (or a question whether Russet may notify)?"'

check login-items-names 'eyes agent' 'Russet' \
    'echo "System Settings, General, Login Items: do the background items stand there as Russet, not as russet-boot or a name of a person?"'

check fast-user-switching 'eyes companion gui' 'one companion' \
    'echo "Switch to another user and back. Has each session one companion in its menu bar?"'
