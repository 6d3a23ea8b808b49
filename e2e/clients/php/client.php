<?php
// Runs requests through mysqli or PDO, both on mysqlnd, as the first argument says. See ../README.md.
declare(strict_types=1);

const CONNECT_LIMIT = 20;

// mysqlnd compares the name whenever it verifies at all.
function verifies(array $request): bool
{
    return in_array($request['tls'] ?? 'usual', ['verify-ca', 'verify-identity'], true);
}

function encrypts(array $request): bool
{
    return verifies($request) || ($request['tls'] ?? 'usual') === 'required';
}

function open_mysqli(array $request): mysqli
{
    mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    $session = mysqli_init();
    $session->options(MYSQLI_OPT_CONNECT_TIMEOUT, CONNECT_LIMIT);
    $flags = empty($request['compress']) ? 0 : MYSQLI_CLIENT_COMPRESS;
    if (encrypts($request)) {
        $session->ssl_set(null, null, $request['ca'] ?? null, null, null);
        $flags |= MYSQLI_CLIENT_SSL;
        $flags |= verifies($request) ? 0 : MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT;
        $session->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, verifies($request));
    }
    $session->real_connect(
        isset($request['socket']) ? 'localhost' : $request['host'],
        $request['user'],
        $request['password'],
        $request['database'],
        $request['port'] ?? null,
        $request['socket'] ?? null,
        $flags
    );
    return $session;
}

function rows_of_mysqli(mysqli $session, string $sql): array
{
    $result = $session->query($sql);
    return $result === true ? [] : $result->fetch_all(MYSQLI_NUM);
}

function open_pdo(array $request): PDO
{
    $place = isset($request['socket'])
        ? "unix_socket={$request['socket']}"
        : "host={$request['host']};port={$request['port']}";
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => CONNECT_LIMIT];
    if (encrypts($request)) {
        // Any of these options switches TLS on; without a CA it is the folder of the system's.
        if (isset($request['ca'])) {
            $options[PDO::MYSQL_ATTR_SSL_CA] = $request['ca'];
        } else {
            $options[PDO::MYSQL_ATTR_SSL_CAPATH] = '/etc/ssl/certs';
        }
        $options[PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT] = verifies($request);
    }
    $name = "mysql:$place;dbname={$request['database']}";
    return new PDO($name, $request['user'], $request['password'], $options);
}

function text(array $rows): array
{
    $cell = fn ($value) => $value === null ? null : (string) $value;
    return array_map(fn ($row) => array_map($cell, $row), $rows);
}

function query(string $driver, array $request): array
{
    if ($driver === 'mysqli') {
        $session = open_mysqli($request);
        $rows = rows_of_mysqli($session, $request['sql']);
        $session->close();
        return $rows;
    }
    return open_pdo($request)->query($request['sql'])->fetchAll(PDO::FETCH_NUM);
}

function change_user(string $driver, array $request): array
{
    if ($driver !== 'mysqli') {
        throw new RuntimeException('PDO cannot change the user');
    }
    $session = open_mysqli($request);
    $rows = rows_of_mysqli($session, $request['sql']);
    if (isset($request['between'])) {
        rows_of_mysqli($session, $request['between']);
    }
    $to = $request['to'];
    $session->change_user($to['user'], $to['password'], $to['database']);
    $rows = array_merge($rows, rows_of_mysqli($session, $request['sql']));
    $session->close();
    return $rows;
}

function answer(string $driver, array $request): array
{
    try {
        $rows = match ($request['op']) {
            'query' => query($driver, $request),
            'change_user' => change_user($driver, $request),
            'version' => [[PHP_VERSION . ' on mysqlnd']],
        };
        return ['ok' => true, 'rows' => text($rows)];
    } catch (PDOException $error) {
        $code = (int) ($error->errorInfo[1] ?? $error->getCode());
        return ['ok' => false, 'code' => max($code, 0), 'message' => $error->getMessage()];
    } catch (Throwable $error) {
        $code = max((int) $error->getCode(), 0);
        return ['ok' => false, 'code' => $code, 'message' => $error->getMessage() ?: get_class($error)];
    }
}

error_reporting(E_ALL & ~E_WARNING); // what goes wrong is thrown; warnings would say it twice
while (($line = fgets(STDIN)) !== false) {
    echo json_encode(answer($argv[1], json_decode($line, true)), JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
