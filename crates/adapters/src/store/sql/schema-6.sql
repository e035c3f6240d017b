-- From schema 5 to schema 6, for both engines. What it leaves must be what schema.sql makes: a test compares them.

-- Exchanges over CMP: one row for each transaction that somebody began who was proved to ask. A row stays, because an identifier
-- is used once.
CREATE TABLE cmp_exchange (
  id BLOB PRIMARY KEY, -- SHA-256 of who asks and the transactionID
  message BLOB NOT NULL, -- SHA-256 of the message that began it
  state INTEGER NOT NULL, -- 0 waits for operators, 1 not confirmed, 2 ended, 3 confirmed
  transaction_id BLOB NOT NULL, -- of the certificate
  subject TEXT NOT NULL,
  instance TEXT NOT NULL, -- the box whose gateway handed it on
  label TEXT,
  body INTEGER NOT NULL,
  cert_req_id INTEGER NOT NULL,
  implicit INTEGER NOT NULL, -- 1: needs no confirmation
  nonce BLOB NOT NULL, -- that the next message must repeat
  at INTEGER NOT NULL,
  until INTEGER NOT NULL, -- behind it nothing is waited for
  request BLOB -- what was asked, while it waits for operators
) STRICT, WITHOUT ROWID;
CREATE INDEX cmp_exchange_open ON cmp_exchange (until) WHERE state IN (0, 1);
-- One-time secrets that MACs are made with, sealed to km's key; a grant says which of them opens it.
CREATE TABLE cmp_secret (
  digest BLOB PRIMARY KEY,
  sealed BLOB NOT NULL,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX cmp_secret_until ON cmp_secret (until);
