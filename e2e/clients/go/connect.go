package main

import (
	"context"
	"database/sql"
	"net"
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
	if asked.TLS == "required" {
		config.TLSConfig = "skip-verify"
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
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
	)
	if err == nil {
		keptDialer.dialer = dialer
	}
	return dialer, err
}
