"""Runs requests through PyMySQL, directly or behind Google's Python connector. See ../README.md."""

import json
import os
import ssl
import sys
import threading

import pymysql

SCOPES = ["https://www.googleapis.com/auth/sqlservice.admin"]
LIMIT = 60  # seconds any step may take

connector = None


def google(target, login):
    """A session through Google's connector; the connector is made once and kept."""
    global connector
    if connector is None:
        # Half a second to load, so only where it is needed.
        from google.cloud.sql.connector import Connector
        from google.oauth2 import service_account

        credentials = service_account.Credentials.from_service_account_file(
            target["credentials_file"], scopes=SCOPES
        )
        connector = Connector(
            credentials=credentials, sqladmin_api_endpoint=target["endpoint"], timeout=LIMIT
        )
    return connector.connect(target["instance"], "pymysql", read_timeout=LIMIT, **login)


def connect(request):
    login = {"user": request["user"], "password": request["password"]}
    if request.get("google"):
        return google(request["google"], login | {"db": request["database"]})
    options = {"connect_timeout": 20, "read_timeout": LIMIT, "database": request["database"]}
    if request.get("socket"):
        options["unix_socket"] = request["socket"]
    else:
        options |= {"host": request["host"], "port": request["port"]}
    if request.get("tls") == "required":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        options["ssl"] = context
    elif request.get("tls") == "off":
        options["ssl_disabled"] = True
    return pymysql.connect(**login, **options)


def text(value):
    if value is None:
        return None
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def run(connection, sql, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments or None)
        return [[text(value) for value in row] for row in cursor.fetchall()]


def query(request):
    connection = connect(request)
    try:
        return run(connection, request["sql"])
    finally:
        connection.close()


def blob(request):
    body = os.urandom(request["bytes"])
    connection = connect(request)
    try:
        run(connection, "CREATE TEMPORARY TABLE blobs (body LONGBLOB)")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO blobs VALUES (_binary %s)", (body,))
            cursor.execute("SELECT body FROM blobs")
            back = cursor.fetchone()[0]
        return [[str(len(back)), "same" if back == body else "different"]]
    finally:
        connection.close()


def sessions(request):
    """All sessions are open at the same time: each waits for the others before it asks."""
    count = request["count"]
    barrier = threading.Barrier(count)
    answers, errors = [], []

    def one():
        try:
            connection = connect(request)
            barrier.wait(LIMIT)
            answers.extend(run(connection, "SELECT CONNECTION_ID()"))
            barrier.wait(LIMIT)
            connection.close()
        except threading.BrokenBarrierError:
            pass  # another session failed and says so
        except Exception as error:
            barrier.abort()
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers


def code(error):
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def message(error):
    return f"{type(error).__name__}: {error}"


for line in sys.stdin:
    request = json.loads(line)
    try:
        operation = {"query": query, "blob": blob, "sessions": sessions}[request["op"]]
        answer = {"ok": True, "rows": operation(request)}
    except Exception as error:
        answer = {"ok": False, "code": code(error), "message": message(error)}
    print(json.dumps(answer), flush=True)

if connector is not None:
    connector.close()
