# Environment of a task
# shellcheck shell=sh disable=SC2016

check task-environment change 'limit (unlimited|[0-9]{6,}|10240|[2-9][0-9]{4}|1[1-9][0-9]{3})' \
    'mkdir -p env/.circleci
     printf "version: 2.1\njobs:\n  job:\n    machine: true\n    steps:\n      - run: echo \"\$PATH\"; echo limit \$(ulimit -n)\nworkflows:\n  main:\n    jobs: [job]\n" >env/.circleci/config.yml
     "$RUSSET" run env; /usr/libexec/path_helper -s 2>/dev/null || :'

check path-order 'change limit=120' '^order ok$' \
    '"$tools/path-steps" | "$tools/steps" paths >paths.log
     "$tools/path-order" 7 <paths.log'

check path-order-in-a-slot 'change class limit=180' '^order ok$' \
    '"$tools/path-steps" | "$tools/submit" paths "$RUSSET_CLASS" >paths.log
     "$tools/path-order" 7 <paths.log'
