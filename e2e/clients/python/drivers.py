"""The Python drivers behind one face: `connect(request)` gives a session with the DB-API's methods.

A driver is loaded only when asked for, because they do not agree on their libraries: the C half of
mysql-connector-python brings an OpenSSL of its own and has to be there before Python's.
"""

import importlib
import os
from importlib.metadata import version

CONNECT_LIMIT = 20  # seconds to connect
LIMIT = 60  # seconds any later step may take


def context(request):
    """An SSLContext that verifies as much as the request says; None for no TLS."""
    import ssl

    mode = request.get("tls", "usual")
    if mode not in ("required", "verify-ca", "verify-identity"):
        return None
    made = ssl.create_default_context(cafile=request.get("ca"))
    made.check_hostname = mode == "verify-identity"
    made.verify_mode = ssl.CERT_NONE if mode == "required" else ssl.CERT_REQUIRED
    return made


def address(request, socket="unix_socket"):
    if request.get("socket"):
        return {socket: request["socket"]}
    return {"host": request["host"], "port": request["port"]}


class PyMySql:
    def version(self):
        return version("PyMySQL")

    def connect(self, request):
        import pymysql

        options = {"connect_timeout": CONNECT_LIMIT, "read_timeout": LIMIT} | address(request)
        if made := context(request):
            options["ssl"] = made
        elif request.get("tls") == "off":
            options["ssl_disabled"] = True
        return pymysql.connect(
            user=request["user"],
            password=request["password"],
            database=request["database"],
            **options,
        )


class ConnectorPython:
    """mysql-connector-python; `pure` says which of its two halves."""

    def __init__(self, pure):
        self.pure = pure
        if not pure:
            os.environ["LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN"] = "1"
            importlib.import_module("_mysql_connector")

    def version(self):
        return version("mysql-connector-python")

    def connect(self, request):
        import mysql.connector

        mode = request.get("tls", "usual")
        options = address(request)
        if mode == "off":
            options["ssl_disabled"] = True
        if mode in ("verify-ca", "verify-identity"):
            options |= {"ssl_ca": request["ca"], "ssl_verify_cert": True}
            options["ssl_verify_identity"] = mode == "verify-identity"
        made = mysql.connector.connect(
            use_pure=self.pure,
            user=request["user"],
            password=request["password"],
            database=request["database"],
            connection_timeout=CONNECT_LIMIT,
            compress=request.get("compress", False),
            **options,
        )
        return ConnectorSession(made)

    def connect_to_any(self, places, login):
        import mysql.connector

        servers = [{"host": host, "port": port} | login for host, port in places]
        return mysql.connector.connect(failover=servers, use_pure=self.pure)


class ConnectorSession:
    """Names the parameters of change_user as the others do."""

    def __init__(self, inner):
        self.inner = inner
        self.cursor, self.close = inner.cursor, inner.close

    def change_user(self, user, password, database):
        self.inner.cmd_change_user(user, password, database)


class MysqlClient:
    """mysqlclient, built on Debian's libmariadb."""

    def version(self):
        import MySQLdb

        return f"{version('mysqlclient')} on libmariadb {MySQLdb.get_client_info()}"

    def connect(self, request):
        import MySQLdb

        mode = request.get("tls", "usual")
        options = address(request)
        if mode in ("verify-ca", "verify-identity"):
            options["ssl"] = {"ca": request["ca"]}
        if mode != "usual":
            options["ssl_mode"] = {"off": "DISABLED"}.get(mode, mode.upper().replace("-", "_"))
        # Compresses when told to in any way, even not to.
        if request.get("compress"):
            options["compress"] = True
        return MySQLdb.connect(
            user=request["user"],
            password=request["password"],
            database=request["database"],
            connect_timeout=CONNECT_LIMIT,
            **options,
        )


class Asynchronous:
    """aiomysql and asyncmy, which have the same interface."""

    def __init__(self, module):
        import asyncio

        self.module, self.loop = module, asyncio.new_event_loop()

    def version(self):
        return version(self.module)

    def connect(self, request):
        module = importlib.import_module(self.module)
        options = address(request)
        if made := context(request):
            options["ssl"] = made
        connecting = module.connect(
            user=request["user"],
            password=request["password"],
            db=request["database"],
            connect_timeout=CONNECT_LIMIT,
            **options,
        )
        return AsynchronousSession(self.loop, self.run(connecting))

    def run(self, awaitable):
        async def waiting():
            return await awaitable

        return self.loop.run_until_complete(waiting())


class AsynchronousSession:
    """A session, and its only cursor."""

    def __init__(self, loop, inner):
        self.loop, self.inner, self.rows = loop, inner, []

    def cursor(self):
        return self

    def execute(self, sql, arguments=None):
        async def running():
            async with self.inner.cursor() as cursor:
                await cursor.execute(sql, arguments)
                self.rows = list(await cursor.fetchall())

        self.loop.run_until_complete(running())

    def fetchall(self):
        return self.rows

    def close(self):
        self.inner.close()


DRIVERS = {
    "pymysql": PyMySql,
    "mysql-connector-pure": lambda: ConnectorPython(pure=True),
    "mysql-connector-c": lambda: ConnectorPython(pure=False),
    "mysqlclient": MysqlClient,
    "aiomysql": lambda: Asynchronous("aiomysql"),
    "asyncmy": lambda: Asynchronous("asyncmy"),
}
