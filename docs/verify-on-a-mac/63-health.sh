# Health, as the kernel says it
# shellcheck shell=sh disable=SC2016

check memory-pressure-form - '^[124]$' 'sysctl -n kern.memorystatus_vm_pressure_level vm.swapusage'

check thermal-form - '(thermal warning level|CPU_Speed_Limit)' 'pmset -g therm'

check available-space-form 'limit=60' '^[0-9]+$' \
    'osascript -l JavaScript -e "ObjC.import(\"Foundation\"); var v = Ref(); \$.NSURL.fileURLWithPath(\"/\").getResourceValueForKeyError(v, \"NSURLVolumeAvailableCapacityForImportantUsageKey\", null); ObjC.unwrap(v[0])"'

check local-snapshots-form - '^Snapshots for ' 'tmutil listlocalsnapshots /'

check spotlight-form - 'Indexing (enabled|disabled)' 'mdutil -s / 2>&1'

check process-limits-form - '^[0-9]{3,}$' 'sysctl -n kern.maxproc kern.maxprocperuid'

check system-at-the-server 'class' '"os": "macOS [0-9]+\.' '"$RUSSET" runner list "$RUSSET_CLASS" --output json'

check chip-at-the-server 'class' '"chip": "(Apple|Intel)' '"$RUSSET" runner list "$RUSSET_CLASS" --output json'

check xcodes-at-the-server 'class xcode' '"build": "[0-9]+[A-Z]' '"$RUSSET" runner list "$RUSSET_CLASS" --output json'
