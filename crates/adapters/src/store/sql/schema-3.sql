-- From schema 2 to schema 3, for both engines. What it leaves must be what schema.sql makes: a test compares them.

-- Authorities whose key is with somebody else, who is asked by CMP (RFC 9810). What is secret is in the keystore.
CREATE TABLE foreign_authority (
  authority INTEGER NOT NULL UNIQUE REFERENCES authority (id),
  url TEXT NOT NULL,
  credential TEXT NOT NULL, -- its name in the keystore
  reference TEXT, -- what the other side finds the secret by; absent: a key protects requests
  mac TEXT,
  certificates TEXT NOT NULL, -- PEM: of that key
  servers TEXT NOT NULL, -- PEM: who else may answer
  anchors TEXT NOT NULL, -- PEM: who issued the certificate of its TLS server
  crl_number INTEGER NOT NULL DEFAULT 0, -- of the last list of its that was taken over
  crl_digest BLOB
) STRICT;
-- One row for each certificate that a foreign authority was asked for, written before. It chooses number and octets, so
-- the row in `issuance` comes with the certificate; until then the use of the grant stands here.
CREATE TABLE foreign_intent (
  id INTEGER PRIMARY KEY,
  transaction_id BLOB NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0, -- 0 while the transaction stands; its own id when it was closed
  requester INTEGER NOT NULL REFERENCES word (id),
  authority INTEGER NOT NULL REFERENCES authority (id),
  grant_id INTEGER NOT NULL REFERENCES grant_ (id),
  right_id INTEGER REFERENCES right_ (id),
  profile INTEGER NOT NULL REFERENCES profile_version (id),
  key BLOB NOT NULL,
  expected BLOB NOT NULL, -- SHA-256 of what this installation would have signed
  exchange BLOB NOT NULL UNIQUE, -- the transaction with the authority
  at INTEGER NOT NULL,
  state INTEGER NOT NULL, -- 0 asked, 1 issued, 2 closed, 3 not settled: nobody knows
  serial BLOB, -- the number that the authority gave
  nonce BLOB, -- with which it said that the certificate is not ready
  why TEXT,
  process INTEGER NOT NULL -- who asks, where several write; 0 in a file
) STRICT;
CREATE UNIQUE INDEX foreign_transaction ON foreign_intent (transaction_id, attempt);
CREATE INDEX foreign_open ON foreign_intent (authority) WHERE state IN (0, 3);
CREATE INDEX foreign_grant ON foreign_intent (grant_id);

-- Messages that a process of a module received, where it has several: each acts on a message once.
CREATE TABLE received (
  message BLOB PRIMARY KEY, -- SHA-256 of caller and nonce
  until INTEGER NOT NULL -- behind it the message is out of time
) STRICT, WITHOUT ROWID;
CREATE INDEX received_until ON received (until);
