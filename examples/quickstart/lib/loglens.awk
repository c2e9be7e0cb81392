# The program behind bin/loglens. Plain POSIX awk: no arrays of arrays, no asort, no gensub.
#
# A line of the common log format:
#   host ident user [time] "METHOD path PROTOCOL" status bytes

BEGIN {
    # Some awks want to know early what is an array, also if the log is empty.
    split("", hosts); split("", paths); split("", broken); split("", class); split("", sizes)
}

{
    # The request is between the first two quotes; what it holds is up to whoever sent it.
    if (split($0, part, "\"") < 3 || split(part[3], answer, " ") < 2 \
        || answer[1] !~ /^[1-5][0-9][0-9]$/) {
        malformed++
        next
    }
    requests++
    hosts[$1]++
    class[substr(answer[1], 1, 1) "xx"]++
    if (answer[2] ~ /^[0-9]+$/) {
        bytes += answer[2]
        sizes[++measured] = answer[2] + 0
    }
    split(part[2], request, " ")
    path = request[2]
    sub(/\?.*/, "", path)
    if (path == "") path = "(none)"
    paths[path]++
    if (answer[1] ~ /^5/) broken[path]++
}

END {
    row("requests", requests + 0)
    row("malformed lines", malformed + 0)
    row("hosts", count(hosts))
    row("sent", human(bytes + 0))
    sort_numbers(sizes, measured)
    row("median answer", human(percentile(sizes, measured, 50)))
    row("99th percentile", human(percentile(sizes, measured, 99)))
    for (digit = 2; digit <= 5; digit++)
        if ((digit "xx") in class) row("status " digit "xx", class[digit "xx"])
    if (format == "html") print_html(); else print_text()
}

function row(name, value) {
    names[++rows] = name
    values[rows] = value
}

function print_text(    i) {
    for (i = 1; i <= rows; i++) printf "%-16s %s\n", names[i], values[i]
    list("top paths", paths)
    list("broken paths", broken)
}

function print_html(    i) {
    print "<!doctype html><meta charset=\"utf-8\"><title>loglens</title><table>"
    for (i = 1; i <= rows; i++)
        printf "<tr><th>%s<td>%s\n", escaped(names[i]), escaped(values[i])
    print "</table>"
    list("top paths", paths)
    list("broken paths", broken)
}

# Prints the keys with the highest counts, those with equal counts by name.
function list(title, counts,    taken, best, key, shown) {
    if (count(counts) == 0) return
    print (format == "html" ? "<h2>" title "</h2><ol>" : "\n" title)
    split("", taken)
    for (shown = 0; shown < top; shown++) {
        best = ""
        for (key in counts)
            if (!(key in taken) && (best == "" || counts[key] > counts[best] \
                || (counts[key] == counts[best] && key < best))) best = key
        if (best == "") break
        taken[best] = 1
        if (format == "html") printf "<li>%s (%d)\n", escaped(best), counts[best]
        else printf "%8d %s\n", counts[best], best
    }
    if (format == "html") print "</ol>"
}

# How many keys an array has.
function count(array,    key, n) {
    for (key in array) n++
    return n + 0
}

# Heap sort: an access log may have millions of lines.
function sort_numbers(a, n,    start, last, swap) {
    for (start = int(n / 2); start >= 1; start--) sift(a, start, n)
    for (last = n; last > 1; last--) {
        swap = a[1]; a[1] = a[last]; a[last] = swap
        sift(a, 1, last - 1)
    }
}

function sift(a, parent, n,    child, swap) {
    while ((child = 2 * parent) <= n) {
        if (child < n && a[child + 1] > a[child]) child++
        if (a[parent] >= a[child]) return
        swap = a[parent]; a[parent] = a[child]; a[child] = swap
        parent = child
    }
}

# The nearest rank.
function percentile(a, n, p,    rank) {
    if (n == 0) return 0
    rank = int((p * n + 99) / 100)
    return a[rank < 1 ? 1 : rank]
}

function human(n) {
    if (n < 1024) return n " B"
    if (n < 1048576) return sprintf("%.1f KiB", n / 1024)
    return sprintf("%.1f MiB", n / 1048576)
}

# Paths come from whoever sends requests: they must not become markup in the report.
function escaped(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    gsub(/"/, "\\&quot;", text)
    return text
}
