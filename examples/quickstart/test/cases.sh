# The tests of loglens; see `run` for how they are called. Read by sh, not run.

loglens() {
    "$PROJECT/bin/loglens" "$@"
}

# Two texts are equal.
same() {
    if [ "$1" != "$2" ]; then
        printf 'expected: %s\nfound:    %s\n' "$1" "$2"
        return 1
    fi
}

# A line of a log: status, bytes, path.
line() {
    printf '192.0.2.1 - - [23/Nov/2026:10:00:00 +0000] "GET %s HTTP/1.1" %s %s\n' "$3" "$1" "$2"
}

# The value of a row of the report on standard input.
value() {
    sed -n "s/^$1  *//p"
}

test_an_empty_log_has_no_requests() {
    same 0 "$(loglens < /dev/null | value requests)"
}

test_requests_are_counted() {
    { line 200 1 /a; line 200 1 /b; line 404 1 /c; } > log
    same 3 "$(loglens log | value requests)"
}

test_several_files_are_one_log() {
    line 200 1 /a > one
    line 200 1 /b > two
    same 2 "$(loglens one two | value requests)"
}

test_lines_that_are_no_log_are_counted_apart() {
    { echo 'what is this'; line 200 1 /a; echo '"" 999 1'; } > log
    same 2 "$(loglens log | value 'malformed lines')"
    same 1 "$(loglens log | value requests)"
}

test_statuses_are_counted_by_class() {
    { line 200 1 /; line 204 1 /; line 503 1 /; } > log
    same 2 "$(loglens log | value 'status 2xx')"
    same 1 "$(loglens log | value 'status 5xx')"
    same "" "$(loglens log | value 'status 4xx')"
}

test_an_answer_without_a_size_counts_nothing() {
    { line 302 - /; line 200 100 /; } > log
    same "100 B" "$(loglens log | value sent)"
    same "100 B" "$(loglens log | value 'median answer')"
}

test_sizes_are_shown_in_units() {
    line 200 1536 / > log
    same "1.5 KiB" "$(loglens log | value sent)"
    line 200 3145728 / > log
    same "3.0 MiB" "$(loglens log | value sent)"
}

test_percentiles_take_the_nearest_rank() {
    i=100
    while [ $i -gt 0 ]; do line 200 $i /; i=$((i - 1)); done > log
    same "50 B" "$(loglens log | value 'median answer')"
    same "99 B" "$(loglens log | value '99th percentile')"
}

test_sizes_are_sorted_as_numbers() {
    { line 200 9 /; line 200 10 /; line 200 100 /; } > log
    same "10 B" "$(loglens log | value 'median answer')"
}

test_queries_are_not_part_of_a_path() {
    { line 200 1 '/s?q=1'; line 200 1 '/s?q=2'; line 200 1 /a; } > log
    same "       2 /s" "$(loglens --top 1 log | grep /)"
}

test_equal_counts_are_in_the_order_of_names() {
    { line 200 1 /b; line 200 1 /c; line 200 1 /a; } > log
    same "/a /b /c " "$(loglens log | awk '/\// { printf "%s ", $2 }')"
}

test_broken_paths_are_those_with_server_errors() {
    { line 500 1 /broken; line 404 1 /gone; } > log
    same "       1 /broken" "$(loglens log | sed -n '/^broken/,$p' | grep /)"
}

test_markup_in_a_path_is_escaped_in_html() {
    line 404 1 '/<script>&' > log
    loglens --html log > report
    grep -q '/&lt;script&gt;&amp;' report
    if grep -q '<script>' report; then echo "markup got through"; return 1; fi
}

test_a_wrong_option_is_refused() {
    status=0
    loglens --bogus 2> message || status=$?
    same 2 "$status"
    same "loglens: unknown option --bogus" "$(cat message)"
}

test_top_takes_only_numbers() {
    status=0
    loglens --top many 2> message || status=$?
    same 2 "$status"
}

test_a_missing_file_is_named() {
    status=0
    loglens nowhere.log 2> message || status=$?
    same 2 "$status"
    same "loglens: cannot read nowhere.log" "$(cat message)"
}
