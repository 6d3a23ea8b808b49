"""Runs requests through the Python driver named by the first argument (PyMySQL when there is none), directly or, with
PyMySQL, behind Google's Python connector. See ../README.md."""

import json
import os
import sys
import threading

from drivers import DRIVERS, LIMIT

SCOPES = ["https://www.googleapis.com/auth/sqlservice.admin"]

driver = DRIVERS[sys.argv[1] if len(sys.argv) > 1 else "pymysql"]()
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
    if request.get("google"):
        login = {"user": request["user"], "password": request["password"]}
        return google(request["google"], login | {"db": request["database"]})
    return driver.connect(request)


def text(value):
    if value is None:
        return None
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def run(connection, sql, *arguments):
    cursor = connection.cursor()
    cursor.execute(sql, arguments or None)
    if getattr(cursor, "description", True) is None:
        return []
    return [[text(value) for value in row] for row in cursor.fetchall()]


def query(request):
    connection = connect(request)
    try:
        return run(connection, request["sql"])
    finally:
        connection.close()


def version(_request):
    return [[driver.version()]]


def change_user(request):
    connection = connect(request)
    try:
        rows = run(connection, request["sql"])
        if request.get("between"):
            run(connection, request["between"])
        to = request["to"]
        connection.change_user(to["user"], to["password"], to["database"])
        return rows + run(connection, request["sql"])
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


def hosts(request):
    """One attempt at a list of hosts, with mysql-connector-python."""
    places = [place.split(":") for place in request["hosts"].split(",")]
    login = {name: request[name] for name in ("user", "password", "database")}
    driver.connect_to_any([(host, int(port)) for host, port in places], login).close()
    return []


def code(error):
    number = getattr(error, "errno", None) or (error.args[0] if error.args else 0)
    return number if isinstance(number, int) and number > 0 else 0


def message(error):
    return f"{type(error).__name__}: {error}"


OPERATIONS = {
    "version": version,
    "query": query,
    "change_user": change_user,
    "blob": blob,
    "sessions": sessions,
    "hosts": hosts,
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        operation = OPERATIONS[request["op"]]
        answer = {"ok": True, "rows": operation(request)}
    except Exception as error:
        answer = {"ok": False, "code": code(error), "message": message(error)}
    print(json.dumps(answer), flush=True)

if connector is not None:
    connector.close()
