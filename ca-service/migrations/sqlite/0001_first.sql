-- What the CA knows. Kept to the SQL that PostgreSQL reads too, types aside: BIGINT, TEXT and BLOB only.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Rises with every administrative change; one row.
CREATE TABLE revision (
    id    BIGINT PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL
);
INSERT INTO revision (id, value) VALUES (1, 1);

CREATE TABLE instances (
    id               TEXT PRIMARY KEY,
    project          TEXT NOT NULL,
    region           TEXT NOT NULL,
    name             TEXT NOT NULL,
    address          TEXT NOT NULL,
    database_version TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    UNIQUE (project, name)
);

-- Keys that sign certificates, or seal tokens (no certificate then). Wrapped by the key-encryption key.
CREATE TABLE authorities (
    id          TEXT PRIMARY KEY,
    instance_id TEXT REFERENCES instances (id),
    purpose     TEXT NOT NULL CHECK (purpose IN ('client', 'server', 'root', 'token')),
    version     BIGINT NOT NULL,
    certificate TEXT NOT NULL,
    spki_sha256 TEXT NOT NULL,
    wrapped_key BLOB NOT NULL,
    not_after   BIGINT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX authorities_by_instance ON authorities (instance_id, purpose);
CREATE INDEX authorities_by_key ON authorities (spki_sha256);

CREATE TABLE service_accounts (
    id              TEXT PRIMARY KEY,
    email           TEXT NOT NULL UNIQUE,
    mode            TEXT NOT NULL CHECK (mode IN ('strict', 'compat')),
    enabled         BIGINT NOT NULL,
    client_id       TEXT NOT NULL,
    universe_domain TEXT,
    created_at      BIGINT NOT NULL
);

CREATE TABLE account_keys (
    kid         TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL REFERENCES service_accounts (id),
    algorithm   TEXT NOT NULL,
    public_key  BLOB NOT NULL,
    spki_sha256 TEXT NOT NULL,
    enabled     BIGINT NOT NULL,
    expires_at  BIGINT,
    created_at  BIGINT NOT NULL
);
CREATE INDEX account_keys_by_account ON account_keys (account_id);
CREATE INDEX account_keys_by_key ON account_keys (spki_sha256);

CREATE TABLE grants (
    instance_id TEXT NOT NULL REFERENCES instances (id),
    account_id  TEXT NOT NULL REFERENCES service_accounts (id),
    role        TEXT NOT NULL CHECK (role IN ('client', 'agent', 'admin')),
    db_users    TEXT NOT NULL,
    schemas     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (instance_id, account_id, role)
);

-- An assertion's jti, until the assertion has expired.
CREATE TABLE used_assertions (
    issuer     TEXT NOT NULL,
    jti        TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, jti)
);
CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);

-- Written before signing ('started'), and again after it. Outlives the instance.
CREATE TABLE certificates (
    authority_id    TEXT NOT NULL,
    serial          TEXT NOT NULL,
    purpose         TEXT NOT NULL CHECK (purpose IN ('client', 'server', 'https')),
    instance        TEXT NOT NULL,
    service_account TEXT NOT NULL,
    spki_sha256     TEXT NOT NULL,
    not_before      BIGINT NOT NULL,
    not_after       BIGINT NOT NULL,
    issued_at       BIGINT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('started', 'issued', 'failed')),
    PRIMARY KEY (authority_id, serial)
);
CREATE INDEX certificates_by_instance ON certificates (instance, issued_at);
CREATE INDEX certificates_by_key ON certificates (spki_sha256);

CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    instance TEXT NOT NULL,
    detail   TEXT NOT NULL
);
