#!/bin/sh
# Checks that every relative link of the repository's Markdown files leads to a file.
#
# Links to other sites are not followed: a check should not fail for what is not in the commit.
set -u
cd "$(dirname "$0")/.." || exit 2
# Within the pipeline below a broken awk would look like pages without links.
awk 'BEGIN { exit 0 }' || exit 2

find . \( -name target -o -name .git \) -prune -o -name '*.md' -print | sort |
    while IFS= read -r page; do
        # Code is not text: neither fenced blocks nor what stands in backquotes.
        awk '
            /^ *```/ { fenced = !fenced; next }
            fenced { next }
            {
                gsub(/`[^`]*`/, "")
                while (match($0, /\]\([^) ]+\)/)) {
                    print substr($0, RSTART + 2, RLENGTH - 3)
                    $0 = substr($0, RSTART + RLENGTH)
                }
            }
        ' "$page" |
            while IFS= read -r link; do
                case $link in
                    http://* | https://* | mailto:* | '#'*) continue ;;
                esac
                target=$(dirname "$page")/${link%%#*}
                if [ -e "$target" ]; then
                    echo "ok      $page: $link"
                else
                    echo "BROKEN  $page: $link"
                fi
            done
    done > links.txt

found=$(grep -c . links.txt)
broken=$(grep -c '^BROKEN' links.txt)
grep '^BROKEN' links.txt
rm -f links.txt
echo "$found links, $broken broken"
[ "$broken" -eq 0 ]
