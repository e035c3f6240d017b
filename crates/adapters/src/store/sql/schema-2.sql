-- From schema 1 to schema 2. What it leaves must be what schema.sql makes: a test compares them.

ALTER TABLE authority ADD COLUMN quota INTEGER;
ALTER TABLE authority ADD COLUMN issued INTEGER NOT NULL DEFAULT 0;
ALTER TABLE authority ADD COLUMN ends INTEGER;
ALTER TABLE authority ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
CREATE TABLE link (
  authority INTEGER NOT NULL REFERENCES authority (id),
  kind INTEGER NOT NULL,
  der BLOB NOT NULL,
  PRIMARY KEY (authority, kind)
) STRICT, WITHOUT ROWID;

ALTER TABLE issuance ADD COLUMN not_after INTEGER NOT NULL DEFAULT 253402300799;
ALTER TABLE issuance ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;

ALTER TABLE revocation RENAME TO revocation_1;
DROP INDEX revocation_authority;
CREATE TABLE revocation (
  id INTEGER PRIMARY KEY,
  issuance INTEGER NOT NULL REFERENCES issuance (id),
  authority INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  at INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  ended INTEGER -- the row that took its place
) STRICT;
CREATE UNIQUE INDEX revocation_stands ON revocation (issuance) WHERE ended IS NULL;
CREATE INDEX revocation_list ON revocation (authority, shard);
INSERT INTO revocation (id, issuance, authority, shard, at, reason, not_after)
  SELECT id, issuance, authority, 0, at, reason, 253402300799 FROM revocation_1 ORDER BY id;
DROP TABLE revocation_1;

ALTER TABLE crl RENAME TO crl_1;
CREATE TABLE crl (
  authority INTEGER NOT NULL REFERENCES authority (id),
  number INTEGER NOT NULL,
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  der BLOB, -- room for what is long out of date to go; nothing takes it out yet
  digest BLOB NOT NULL,
  shard INTEGER NOT NULL DEFAULT 0,
  base INTEGER, -- the number of the list that it is a difference to
  edge INTEGER NOT NULL DEFAULT 0, -- the last row of `revocation` that it takes into account
  PRIMARY KEY (authority, number)
) STRICT, WITHOUT ROWID;
-- The digests are of this program's making: SQL has no SHA-256. They are filled in by the code.
INSERT INTO crl (authority, number, this_update, next_update, der, digest, edge)
  SELECT c.authority, c.number, c.this_update, c.next_update, c.der, x'',
    coalesce((SELECT max(r.id) FROM revocation r WHERE r.authority = c.authority AND r.at <= c.this_update), 0)
  FROM crl_1 c;
DROP TABLE crl_1;

ALTER TABLE list ADD COLUMN supplier TEXT;
ALTER TABLE list ADD COLUMN sequence INTEGER;
CREATE TABLE supplier (
  name TEXT PRIMARY KEY,
  spki BLOB NOT NULL,
  sequence INTEGER NOT NULL DEFAULT 0 -- of the last list that was taken
) STRICT, WITHOUT ROWID;

-- Requests that wait for operators, and who of them said yes or no.
CREATE TABLE pending (
  id INTEGER PRIMARY KEY,
  transaction_id BLOB NOT NULL UNIQUE,
  requester TEXT NOT NULL,
  subject TEXT NOT NULL,
  profile TEXT NOT NULL,
  request BLOB NOT NULL, -- SHA-256 of the key and the names that are asked for
  needed INTEGER NOT NULL,
  at INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
CREATE TABLE approval (
  pending INTEGER NOT NULL REFERENCES pending (id),
  operator TEXT NOT NULL,
  statement TEXT NOT NULL,
  approved INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (pending, operator)
) STRICT, WITHOUT ROWID;
