-- From schema 6 to schema 7, for both engines. What it leaves must be what schema.sql makes: a test compares them.

-- Accounts of ACME: a key that speaks for a device under a label. A row stays, because a secret binds one account.
CREATE TABLE acme_account (
  id BLOB PRIMARY KEY,
  label TEXT NOT NULL,
  subject TEXT NOT NULL,
  key BLOB NOT NULL, -- SubjectPublicKeyInfo
  thumbprint BLOB NOT NULL,
  secret BLOB NOT NULL UNIQUE, -- SHA-256 of the secret that bound it
  state INTEGER NOT NULL, -- 0 valid, 1 deactivated, 2 a newer one took its place
  contact TEXT NOT NULL, -- addresses, with a space between two
  at INTEGER NOT NULL,
  UNIQUE (label, thumbprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_account_subject ON acme_account (subject);
-- Orders of accounts. What ended without a certificate is forgotten.
CREATE TABLE acme_order (
  id BLOB PRIMARY KEY,
  account BLOB NOT NULL,
  state INTEGER NOT NULL, -- 0 open, 1 its certificate is being made, 2 valid, 3 invalid
  identifiers TEXT NOT NULL, -- names with their types in front, with a space between two
  replaces TEXT,
  transaction_id BLOB, -- of its certificate
  request BLOB, -- PKCS #10
  serial TEXT,
  error TEXT,
  at INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_order_account ON acme_order (account, at);
CREATE TABLE acme_authorization (
  id BLOB PRIMARY KEY,
  acme_order BLOB NOT NULL,
  identifier TEXT NOT NULL,
  secret BLOB NOT NULL, -- what its tokens follow from
  state INTEGER NOT NULL, -- 0 pending, 1 somebody looks, 2 valid, 3 invalid, 4 deactivated
  challenge TEXT,
  error TEXT,
  at INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_authorization_order ON acme_authorization (acme_order, identifier);
-- Nonces that were used, until they count no more anyway; and the key by which they are known as ours.
CREATE TABLE acme_nonce (
  nonce BLOB PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX acme_nonce_until ON acme_nonce (until);
CREATE TABLE acme_key (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL
) STRICT;
