package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// How long any operation may take.
const limit = 60 * time.Second

func run(asked request) ([][]*string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	pool, err := open(ctx, asked)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	switch asked.Op {
	case "version":
		return version(), nil
	case "query":
		return query(ctx, pool, asked.SQL)
	case "blob":
		return blob(ctx, pool, asked.Bytes)
	case "sessions":
		return sessions(ctx, pool, asked.Count)
	}
	return nil, fmt.Errorf("unknown op %q", asked.Op)
}

func version() [][]*string {
	found := "unknown"
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/go-sql-driver/mysql" {
				found = module.Version + " on " + build.GoVersion
			}
		}
	}
	return [][]*string{{&found}}
}

type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func query(ctx context.Context, database asker, statement string) ([][]*string, error) {
	rows, err := database.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]*string
	for rows.Next() {
		row := make([]*string, len(columns))
		places := make([]any, len(columns))
		for i := range row {
			places[i] = &row[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func blob(ctx context.Context, pool *sql.DB, size int) ([][]*string, error) {
	body := make([]byte, size)
	rand.Read(body)
	session, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if _, err := session.ExecContext(ctx, "CREATE TEMPORARY TABLE blobs (body LONGBLOB)"); err != nil {
		return nil, err
	}
	if _, err := session.ExecContext(ctx, "INSERT INTO blobs VALUES (?)", body); err != nil {
		return nil, err
	}
	var back []byte
	if err := session.QueryRowContext(ctx, "SELECT body FROM blobs").Scan(&back); err != nil {
		return nil, err
	}
	length, verdict := strconv.Itoa(len(back)), "same"
	if !bytes.Equal(back, body) {
		verdict = "different"
	}
	return [][]*string{{&length, &verdict}}, nil
}

// All sessions are open at the same time: none is given back before all have answered.
func sessions(ctx context.Context, pool *sql.DB, count int) ([][]*string, error) {
	var (
		lock  sync.Mutex
		group sync.WaitGroup
		all   [][]*string
		first error
	)
	opened := make([]*sql.Conn, count)
	for i := range opened {
		group.Go(func() {
			session, err := pool.Conn(ctx)
			var rows [][]*string
			if err == nil {
				opened[i] = session
				rows, err = query(ctx, session, "SELECT CONNECTION_ID()")
			}
			lock.Lock()
			defer lock.Unlock()
			all = append(all, rows...)
			if first == nil {
				first = err
			}
		})
	}
	group.Wait()
	for _, session := range opened {
		if session != nil {
			session.Close()
		}
	}
	return all, first
}
