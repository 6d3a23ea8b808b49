package main
import (_ "cloud.google.com/go/cloudsqlconn"; _ "github.com/go-sql-driver/mysql")
func main() {}
