// Runs requests through mysql2. See ../README.md.
'use strict';

const crypto = require('node:crypto');
const readline = require('node:readline');
const mysql = require('mysql2/promise');

function connect(request) {
  const address = request.socket
    ? { socketPath: request.socket }
    : { host: request.host, port: request.port };
  const ssl = request.tls === 'required' ? { rejectUnauthorized: false } : undefined;
  return mysql.createConnection({
    ...address,
    ssl,
    user: request.user,
    password: request.password,
    database: request.database,
    connectTimeout: 20000,
  });
}

async function run(connection, sql, values) {
  const [rows] = await connection.query({ sql, values, rowsAsArray: true });
  if (!Array.isArray(rows)) return [];
  return rows.map((row) => row.map((value) => (value === null ? null : String(value))));
}

async function query(request) {
  const connection = await connect(request);
  try {
    return await run(connection, request.sql);
  } finally {
    connection.destroy();
  }
}

async function blob(request) {
  const body = crypto.randomBytes(request.bytes);
  const connection = await connect(request);
  try {
    await run(connection, 'CREATE TEMPORARY TABLE blobs (body LONGBLOB)');
    await run(connection, 'INSERT INTO blobs VALUES (?)', [body]);
    const [rows] = await connection.query('SELECT body FROM blobs');
    const back = rows[0].body;
    return [[String(back.length), back.equals(body) ? 'same' : 'different']];
  } finally {
    connection.destroy();
  }
}

async function sessions(request) {
  const opened = await Promise.all(Array.from({ length: request.count }, () => connect(request)));
  const answers = await Promise.all(opened.map((one) => run(one, 'SELECT CONNECTION_ID()')));
  opened.forEach((one) => one.destroy());
  return answers.flat();
}

async function answer(line) {
  const request = JSON.parse(line);
  try {
    const operation = { query, blob, sessions }[request.op];
    return { ok: true, rows: await operation(request) };
  } catch (error) {
    return { ok: false, code: error.errno > 0 ? error.errno : 0, message: `${error.code}: ${error.message}` };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(line)) + '\n');
  }
  process.exit(0);
})();
