# What the launch agent does before a step: an audit session of its own, then the slot's user.
# struct auditinfo_addr (bsm/audit.h): uid, mask, terminal (AU_IPv4), session (new), flags: 48 bytes.
# as-slot.pl USER HOME SCRIPT
use strict;
use warnings;
use POSIX;
my ($user, $home, $script) = @ARGV;
my ($uid, $gid) = (getpwnam $user)[2, 3];
defined $uid or die "there is no user $user\n";
if ($^O eq 'darwin') {
    my $info = pack 'L L2 l L L4 l Q', $uid, 0, 0, 0, 4, 0, 0, 0, 0, -1, 0;
    syscall(358, $info, 48) == 0 or die "setaudit_addr: $!\n";
}
$) = "$gid $gid";
setgid $gid;
setuid $uid;
die "still root\n" if $> == 0 || $< == 0;
chdir $home or die "$home: $!\n";
$ENV{HOME} = $home;
$ENV{TMPDIR} = "$home/tmp";
exec '/bin/sh', $script;
