// Runs requests through go-sql-driver, directly or behind Google's Go connector. See ../README.md.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"

	"github.com/go-sql-driver/mysql"
)

type googleTarget struct {
	Instance        string `json:"instance"`
	Endpoint        string `json:"endpoint"`
	CredentialsFile string `json:"credentials_file"`
}

type request struct {
	Op       string        `json:"op"`
	SQL      string        `json:"sql"`
	Bytes    int           `json:"bytes"`
	Count    int           `json:"count"`
	User     string        `json:"user"`
	Password string        `json:"password"`
	Database string        `json:"database"`
	Host     string        `json:"host"`
	Port     int           `json:"port"`
	Socket   string        `json:"socket"`
	TLS      string        `json:"tls"`
	CA       string        `json:"ca"`
	Google   *googleTarget `json:"google"`
}

type answer struct {
	OK      bool        `json:"ok"`
	Rows    [][]*string `json:"rows,omitempty"`
	Code    uint16      `json:"code"`
	Message string      `json:"message,omitempty"`
}

func serve(line []byte) answer {
	var asked request
	if err := json.Unmarshal(line, &asked); err != nil {
		return failed(err)
	}
	rows, err := run(asked)
	if err != nil {
		return failed(err)
	}
	return answer{OK: true, Rows: rows}
}

func failed(err error) answer {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		return answer{Code: server.Number, Message: server.Message}
	}
	return answer{Message: err.Error()}
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<20)
	output := json.NewEncoder(os.Stdout)
	for input.Scan() {
		if err := output.Encode(serve(input.Bytes())); err != nil {
			os.Exit(1)
		}
	}
}
