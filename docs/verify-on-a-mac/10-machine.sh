# The machine
# shellcheck shell=sh disable=SC2016

check macos-version - '^(10\.1[5-9]|1[1-9]|[2-9][0-9])' 'sw_vers -productVersion'

check arch-not-rosetta - '^(1|intel)$' 'sysctl -n hw.optional.arm64 2>/dev/null || echo intel'

check boot-session - '^[0-9A-F]{8}-[0-9A-F]{4}-' 'sysctl -n kern.bootsessionuuid'
