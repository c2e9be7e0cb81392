#!/bin/sh
# Checks that every shell script of the repository parses, with the shell it is written for.
set -u
cd "$(dirname "$0")/.." || exit 2

checked=0
failed=0
for file in $(find . \( -name target -o -name .git \) -prune -o -type f -print | sort); do
    case $(head -c 64 "$file" 2>/dev/null | head -n 1 | tr -d '\000') in
        '#!/bin/sh'* | '#!/usr/bin/env sh'*) shell=sh ;;
        '#!/bin/bash'* | '#!/usr/bin/env bash'*) shell=bash ;;
        *) continue ;;
    esac
    checked=$((checked + 1))
    if "$shell" -n "$file"; then
        echo "ok      $file"
    else
        failed=$((failed + 1))
        echo "FAILED  $file"
    fi
done
echo "$checked scripts, $failed failed"
[ "$checked" -gt 0 ] && [ "$failed" -eq 0 ]
