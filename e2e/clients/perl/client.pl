#!/usr/bin/perl
# Runs requests through DBD::mysql or DBD::MariaDB, as the first argument says. See ../README.md.
use strict;
use warnings;

use DBI;
use JSON::PP;

my $driver = shift @ARGV;    # mysql or MariaDB
my $prefix = lc $driver;
my $json   = JSON::PP->new->latin1;
$| = 1;

sub source {
    my ($request) = @_;
    my @parts = ( "database=$request->{database}", "${prefix}_connect_timeout=20" );
    if ( $request->{socket} ) {
        push @parts, "${prefix}_socket=$request->{socket}";
    }
    else {
        push @parts, "host=$request->{host}", "port=$request->{port}";
    }
    my $tls = $request->{tls} // 'usual';
    push @parts, "${prefix}_ssl=1" if $tls =~ /^(?:required|verify-.*)$/;
    push @parts, "${prefix}_ssl_ca_file=$request->{ca}" if $tls =~ /^verify-/;
    push @parts, "${prefix}_ssl_verify_server_cert=1" if $tls eq 'verify-identity';
    return "DBI:$driver:" . join ';', @parts;
}

sub query {
    my ($request) = @_;
    my $session = DBI->connect( source($request), $request->{user}, $request->{password},
        { RaiseError => 1, PrintError => 0 } );
    my $statement = $session->prepare( $request->{sql} );
    $statement->execute;
    my $rows = $statement->{NUM_OF_FIELDS} ? $statement->fetchall_arrayref : [];
    $session->disconnect;
    return [ map { [ map { defined $_ ? "$_" : undef } @$_ ] } @$rows ];
}

sub version {
    my $module = "DBD::$driver";
    ## no critic
    eval "require $module; 1" or die $@;

    return [ [ $module->VERSION . " on libmariadb" ] ];
}

my %operations = ( query => \&query, version => \&version );

while ( my $line = <STDIN> ) {
    my $request = $json->decode($line);
    my $rows = eval { $operations{ $request->{op} }->($request) };
    my $answer =
        $rows
        ? { ok => JSON::PP::true, rows => $rows }
        : { ok => JSON::PP::false, code => $DBI::err // 0, message => $DBI::errstr // "$@" };
    print $json->encode($answer), "\n";
}
