// Runs requests through mysql2 or mariadb, as the first argument says (mysql2 when there is none). See ../README.md.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const readline = require('node:readline');

const name = process.argv[2] || 'mysql2';

// What the driver's `ssl` option takes.
function tls(request) {
  const ca = request.ca ? fs.readFileSync(request.ca) : undefined;
  switch (request.tls) {
    case 'off':
      return name === 'mariadb' ? false : undefined;
    case 'required':
      return { rejectUnauthorized: false };
    case 'verify-ca':
      return name === 'mariadb'
        ? { ca, checkServerIdentity: () => undefined }
        : { ca, rejectUnauthorized: true, verifyIdentity: false };
    case 'verify-identity':
      return name === 'mariadb' ? { ca } : { ca, rejectUnauthorized: true, verifyIdentity: true };
    default:
      return undefined;
  }
}

// Google's connector, made once and kept from one request to the next.
let connector;

async function google(request) {
  const { Connector } = require('@google-cloud/cloud-sql-connector');
  const target = request.google;
  if (!connector) {
    process.env.GOOGLE_APPLICATION_CREDENTIALS = target.credentials_file;
    connector = new Connector({
      sqlAdminAPIEndpoint: target.endpoint,
      universeDomain: JSON.parse(fs.readFileSync(target.credentials_file)).universe_domain,
    });
  }
  const options = await connector.getOptions({ instanceConnectionName: target.instance });
  return require('mysql2/promise').createConnection({
    ...options,
    user: request.user,
    password: request.password,
    database: request.database,
    connectTimeout: 20000,
  });
}

async function connect(request) {
  if (request.google) return google(request);
  const address = request.socket
    ? { socketPath: request.socket }
    : { host: request.host, port: request.port };
  const options = {
    ...address,
    user: request.user,
    password: request.password,
    database: request.database,
    connectTimeout: 20000,
  };
  const ssl = tls(request);
  if (ssl !== undefined) options.ssl = ssl;
  // mariadb asks for the server's RSA key only when it is allowed to.
  return name === 'mariadb'
    ? require('mariadb').createConnection({ ...options, allowPublicKeyRetrieval: true })
    : require('mysql2/promise').createConnection({ ...options, enableCleartextPlugin: true });
}

async function run(connection, sql, values) {
  const statement = { sql, values, rowsAsArray: true };
  const answer = await connection.query(statement);
  const rows = name === 'mariadb' ? answer : answer[0];
  if (!Array.isArray(rows)) return [];
  return rows.map((row) => row.map((value) => (value === null ? null : String(value))));
}

async function version() {
  const entry = require.resolve(name);
  const folder = entry.slice(0, entry.lastIndexOf(`node_modules/${name}/`)) + `node_modules/${name}/`;
  return [[JSON.parse(fs.readFileSync(folder + 'package.json')).version]];
}

async function changeUser(request) {
  const connection = await connect(request);
  try {
    const before = await run(connection, request.sql);
    if (request.between) await run(connection, request.between);
    await connection.changeUser(request.to);
    return before.concat(await run(connection, request.sql));
  } finally {
    connection.destroy();
  }
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

// One attempt at a list of hosts, in their order.
async function hosts(request) {
  const module = require(name === 'mariadb' ? 'mariadb' : 'mysql2/promise');
  const settings = { canRetry: true, removeNodeErrorCount: 1, defaultSelector: 'ORDER' };
  const cluster = module.createPoolCluster(settings);
  request.hosts.split(',').forEach((place, number) => {
    const [host, port] = place.split(':');
    const { user, password, database } = request;
    // mariadb's pool tries again until it gives up.
    const limits = name === 'mariadb' ? { acquireTimeout: 300, initializationTimeout: 200 } : {};
    cluster.add(`host${number}`, {
      host, port: Number(port), user, password, database, connectionLimit: 1, ...limits,
    });
  });
  try {
    await (await cluster.getConnection('host*', 'ORDER')).release();
    return [];
  } finally {
    await Promise.race([cluster.end(), new Promise((done) => setTimeout(done, 100))]);
  }
}

async function answer(line) {
  const request = JSON.parse(line);
  try {
    const operation = { query, version, change_user: changeUser, blob, sessions, hosts }[request.op];
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
