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

# As attributes, because a colon in a socket's path would end it in a data source.
sub options {
    my ($request) = @_;
    my %options = ( "${prefix}_connect_timeout" => 20 );
    $options{"${prefix}_socket"} = $request->{socket} if $request->{socket};
    my $tls = $request->{tls} // 'usual';
    if ( $tls eq 'required' ) {
        # Both refuse to demand TLS without verifying: this is TLS whenever it is offered.
        $options{"${prefix}_ssl"} = $options{"${prefix}_ssl_optional"} = 1;
        $options{mariadb_ssl_verify_server_cert} = 0 if $driver eq 'MariaDB';
    }
    elsif ( $tls =~ /^verify-/ ) {
        $options{"${prefix}_ssl"}         = 1;
        $options{"${prefix}_ssl_ca_file"} = $request->{ca};
        $options{"${prefix}_ssl_verify_server_cert"} = $tls eq 'verify-identity' ? 1 : 0;
    }
    return \%options;
}

sub query {
    my ($request) = @_;
    my $source = "DBI:$driver:database=$request->{database}";
    $source .= ";host=$request->{host};port=$request->{port}" if $request->{host};
    my $session = DBI->connect( $source, $request->{user}, $request->{password},
        { RaiseError => 1, PrintError => 0, %{ options($request) } } );
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
