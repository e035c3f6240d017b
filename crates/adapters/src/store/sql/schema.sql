-- Schema 3. Keys of one kind stand together in time: rows are appended, and the index of serial numbers and of
-- transactions grows at its end, because both begin with the time.

CREATE TABLE counter (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Epochs of serial numbers: one for each opening, written before the first serial number.
CREATE TABLE epoch (
  value INTEGER PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT;

-- Names that stand in many rows.
CREATE TABLE word (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE profile_version (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE authority (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  key TEXT NOT NULL,
  issuer TEXT,
  certificate BLOB,
  crl_number INTEGER NOT NULL DEFAULT 0, -- the highest that was intended
  quota INTEGER, -- how many certificates it may issue
  issued INTEGER NOT NULL DEFAULT 0, -- of them; counted only if there is a quota
  ends INTEGER, -- when it ceases to issue; its certificate may last longer
  retired INTEGER NOT NULL DEFAULT 0 -- 1: another took its place; it signs lists of revoked certificates only
) STRICT;

-- Certificates that connect the keys of an authority over a rollover (RFC 4210 §4.4): 0 old with new, 1 new with old.
CREATE TABLE link (
  authority INTEGER NOT NULL REFERENCES authority (id),
  kind INTEGER NOT NULL,
  der BLOB NOT NULL,
  PRIMARY KEY (authority, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE grant_ (
  id INTEGER PRIMARY KEY,
  subject TEXT NOT NULL,
  profile INTEGER NOT NULL REFERENCES word (id),
  until INTEGER NOT NULL,
  quota INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0, -- issuances that stand: open, issued or confirmed
  origin INTEGER NOT NULL REFERENCES word (id),
  CHECK (used BETWEEN 0 AND quota),
  UNIQUE (subject, profile)
) STRICT;

CREATE TABLE right_ (
  id INTEGER PRIMARY KEY,
  station TEXT NOT NULL,
  device_type TEXT NOT NULL,
  until INTEGER NOT NULL,
  quota INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0,
  CHECK (used >= 0),
  UNIQUE (station, device_type)
) STRICT;

-- One row for each signature that a key was asked for, written before. It is open until its certificate stands in the
-- next table, or it is closed; so a record is one row more and no row changed.
CREATE TABLE issuance (
  id INTEGER PRIMARY KEY,
  serial BLOB NOT NULL UNIQUE,
  authority INTEGER NOT NULL REFERENCES authority (id),
  transaction_id BLOB NOT NULL,
  requester INTEGER NOT NULL REFERENCES word (id),
  grant_id INTEGER NOT NULL REFERENCES grant_ (id),
  right_id INTEGER REFERENCES right_ (id),
  profile INTEGER NOT NULL REFERENCES profile_version (id),
  key BLOB NOT NULL,
  tbs BLOB NOT NULL,
  at INTEGER NOT NULL,
  state INTEGER NOT NULL, -- 0 open or issued, 1 confirmed, 2 closed, 3 rejected, 4 known from the marks only
  attempt INTEGER NOT NULL DEFAULT 0, -- 0 while the transaction stands; its own id when it was closed or rejected
  not_after INTEGER NOT NULL DEFAULT 253402300799, -- in seconds; what is not known lasts for ever
  shard INTEGER NOT NULL DEFAULT 0 -- the list that shows it if it is revoked, counted from 1; 0: the undivided one
) STRICT;
CREATE UNIQUE INDEX issuance_transaction ON issuance (transaction_id, attempt);
CREATE INDEX issuance_grant ON issuance (grant_id);

CREATE TABLE certificate (
  id INTEGER PRIMARY KEY REFERENCES issuance (id),
  der BLOB NOT NULL -- empty if it expired long ago and was purged, as the audit log says
) STRICT;

-- What was said of the standing of certificates, in that order; no row is changed but for its end. What stands of a
-- certificate is its row that has not ended, unless that says 8 (removeFromCRL): it was held, and was released.
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

CREATE TABLE crl (
  authority INTEGER NOT NULL REFERENCES authority (id),
  number INTEGER NOT NULL,
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  der BLOB, -- of what is long out of date it may go, as the audit log says
  digest BLOB NOT NULL,
  shard INTEGER NOT NULL DEFAULT 0,
  base INTEGER, -- the number of the list that it is a difference to
  edge INTEGER NOT NULL DEFAULT 0, -- the last row of `revocation` that it takes into account
  PRIMARY KEY (authority, number)
) STRICT, WITHOUT ROWID;

-- The audit log: `leaf` is the hash of `entry` in the Merkle tree; `audit_root` holds the roots of full tiles.
CREATE TABLE audit (
  number INTEGER PRIMARY KEY,
  entry BLOB NOT NULL,
  leaf BLOB NOT NULL
) STRICT;
CREATE TABLE audit_root (
  level INTEGER NOT NULL,
  number INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  note TEXT NOT NULL
) STRICT;

CREATE TABLE list (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  digest BLOB NOT NULL,
  until INTEGER NOT NULL,
  at INTEGER NOT NULL,
  supplier TEXT, -- who signed it
  sequence INTEGER -- which of this supplier's it is; higher ones only
) STRICT;
-- Who may send signed lists.
CREATE TABLE supplier (
  name TEXT PRIMARY KEY,
  spki BLOB NOT NULL,
  sequence INTEGER NOT NULL DEFAULT 0 -- of the last list that was taken
) STRICT, WITHOUT ROWID;
CREATE TABLE device (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  serial TEXT NOT NULL UNIQUE,
  profile TEXT NOT NULL,
  list INTEGER NOT NULL REFERENCES list (id),
  line INTEGER NOT NULL,
  listed_board TEXT UNIQUE,
  custody INTEGER NOT NULL DEFAULT 0, -- 0 planned, 1 made, 2 provisioned
  stolen INTEGER NOT NULL DEFAULT 0,
  board TEXT UNIQUE,
  image BLOB,
  key BLOB,
  certificate TEXT,
  station TEXT,
  at INTEGER NOT NULL,
  idevid TEXT -- the certificate that it brings from its maker: the maker's name and its serial number
) STRICT;
CREATE UNIQUE INDEX device_idevid ON device (idevid);
-- Who made devices, and gave them a certificate that is proof at the first enrolment here.
CREATE TABLE maker (
  name TEXT PRIMARY KEY,
  certificate BLOB NOT NULL, -- of the authority that signs those of devices; empty if only the number of its list is known
  trusted INTEGER NOT NULL,
  demanded INTEGER NOT NULL, -- whether a list of revoked certificates must be there
  number INTEGER NOT NULL DEFAULT 0, -- of the last list that was taken
  crl BLOB,
  next_update INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE pending_grant (
  id INTEGER PRIMARY KEY,
  device INTEGER NOT NULL REFERENCES device (id)
) STRICT;

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

CREATE TABLE job (
  device TEXT PRIMARY KEY,
  image BLOB,
  transaction_id BLOB,
  key BLOB,
  finished INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE release_floor (
  device_type TEXT PRIMARY KEY,
  counter INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Makers and releases of the format before bundles. Nothing reads or writes these two: they stay as they are where a box had such
-- releases, and are empty elsewhere.
CREATE TABLE signer (
  key BLOB PRIMARY KEY,
  name TEXT NOT NULL,
  spki BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE release (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  device_type TEXT NOT NULL,
  counter INTEGER NOT NULL,
  metadata BLOB NOT NULL,
  countersignature BLOB NOT NULL,
  blob TEXT NOT NULL,
  image BLOB NOT NULL,
  length INTEGER NOT NULL,
  at INTEGER NOT NULL,
  UNIQUE (device_type, counter)
) STRICT;

CREATE TABLE mode (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  ordered TEXT NOT NULL,
  statement TEXT NOT NULL,
  binding TEXT NOT NULL,
  epoch INTEGER NOT NULL
) STRICT;

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

-- Invitations of further boxes: a token opens one once. What operators signed stands in `statements`, the rest only finds it.
CREATE TABLE invitation (
  token BLOB PRIMARY KEY, -- SHA-256 of the public key whose private half is the token's secret
  box TEXT NOT NULL,
  statements TEXT NOT NULL, -- a line for each operator who invites: a flattened JWS
  at INTEGER NOT NULL,
  until INTEGER NOT NULL,
  state INTEGER NOT NULL, -- 0 open, 1 admitted, 2 taken back
  request BLOB, -- PKCS #10 that was admitted
  admission TEXT -- a flattened JWS: an operator says with which keys it came
) STRICT, WITHOUT ROWID;
CREATE INDEX invitation_box ON invitation (box);

-- Bundles: what repositories said, verified, countersigned and encrypted as one. The last one counts.
CREATE TABLE bundle (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE, -- SHA-256 of its manifest
  blob TEXT NOT NULL, -- where it lies in the vault, without its images
  countersignature BLOB NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE TABLE bundle_release (
  bundle INTEGER NOT NULL REFERENCES bundle (id),
  device_type TEXT NOT NULL,
  name TEXT NOT NULL,
  target TEXT NOT NULL,
  counter INTEGER NOT NULL,
  blob TEXT NOT NULL,
  image BLOB NOT NULL,
  length INTEGER NOT NULL,
  PRIMARY KEY (bundle, device_type)
) STRICT, WITHOUT ROWID;

-- What modules trust of the repositories that are followed: files as they came.
CREATE TABLE trusted_file (
  module TEXT NOT NULL, -- sm and pm each have their own
  repository BLOB NOT NULL, -- SHA-256 of its first root
  name TEXT NOT NULL,
  octets BLOB NOT NULL,
  PRIMARY KEY (module, repository, name)
) STRICT, WITHOUT ROWID;

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
  request BLOB, -- SHA-256 of the request
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
  until INTEGER NOT NULL,
  key BLOB -- SubjectPublicKeyInfo, if a device proved that it has it
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
