package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"

	"cloud.google.com/go/cloudsqlconn"
	"github.com/go-sql-driver/mysql"
)

// open prepares a pool for the request's target; nothing is dialled yet.
func open(ctx context.Context, asked request) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = asked.User, asked.Password, asked.Database
	config.Timeout, config.ReadTimeout, config.MaxAllowedPacket = limit, limit, 64<<20
	switch {
	case asked.Google != nil:
		dialer, err := googleDialer(*asked.Google)
		if err != nil {
			return nil, err
		}
		config.DialFunc = func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialer.Dial(ctx, asked.Google.Instance)
		}
		config.Net, config.Addr = "cloudsql", asked.Google.Instance
	case asked.Socket != "":
		config.Net, config.Addr = "unix", asked.Socket
	default:
		config.Net, config.Addr = "tcp", net.JoinHostPort(asked.Host, strconv.Itoa(asked.Port))
	}
	var err error
	if config.TLS, err = encryption(asked); err != nil {
		return nil, err
	}
	config.AllowCleartextPasswords = config.TLS != nil || asked.Socket != ""
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// encryption is what the request says of TLS; nil for none, which is also what the driver does by itself.
func encryption(asked request) (*tls.Config, error) {
	made := &tls.Config{MinVersion: tls.VersionTLS12}
	switch asked.TLS {
	case "required":
		made.InsecureSkipVerify = true
		return made, nil
	case "verify-ca", "verify-identity":
	default:
		return nil, nil
	}
	pem, err := os.ReadFile(asked.CA)
	if err != nil {
		return nil, err
	}
	made.RootCAs = x509.NewCertPool()
	if !made.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", asked.CA)
	}
	if asked.TLS == "verify-ca" {
		made.InsecureSkipVerify = true // the chain is verified below, the name is not
		made.VerifyConnection = func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: made.RootCAs, Intermediates: x509.NewCertPool()}
			for _, one := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(one)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		}
	}
	return made, nil
}

// The connector is made once and kept from one request to the next.
var keptDialer struct {
	sync.Mutex
	dialer *cloudsqlconn.Dialer
}

func googleDialer(target googleTarget) (*cloudsqlconn.Dialer, error) {
	keptDialer.Lock()
	defer keptDialer.Unlock()
	if keptDialer.dialer != nil {
		return keptDialer.dialer, nil
	}
	dialer, err := cloudsqlconn.NewDialer(context.Background(),
		cloudsqlconn.WithCredentialsFile(target.CredentialsFile),
		cloudsqlconn.WithAdminAPIEndpoint(target.Endpoint),
		cloudsqlconn.WithBuiltInMetrics(false),
	)
	if err == nil {
		keptDialer.dialer = dialer
	}
	return dialer, err
}
