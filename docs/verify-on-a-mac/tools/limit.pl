# Runs a command within a time limit: limit.pl SECONDS COMMAND... (macOS has no timeout(1).)
# What it started in its process group ends with it, in any case.
use strict;
use warnings;

my $limit = shift;
my $pid = fork // die "fork: $!";
if (!$pid) { setpgrp 0, 0; exec { $ARGV[0] } @ARGV; exit 127 }
my $is_late = 0;
$SIG{ALRM} = sub {
    # TERM first: it lets a job of launchd be removed.
    kill $is_late ? 'KILL' : 'TERM', -$pid;
    $is_late = 1;
    alarm 5;
};
alarm $limit;
1 while waitpid($pid, 0) != $pid;
my $status = $?;
alarm 0;
kill 'KILL', -$pid;
if ($is_late) { print "russet-verify: ended after its limit of $limit s\n"; exit 124 }
exit($status & 127 ? 128 + ($status & 127) : $status >> 8);
