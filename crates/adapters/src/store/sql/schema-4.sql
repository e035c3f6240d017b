-- From schema 3 to schema 4, for both engines. What it leaves must be what schema.sql makes: a test compares them.

-- Invitations of further boxes: a token opens one once. What operators signed stands in `statements`, the rest only finds it.
CREATE TABLE invitation (
  token BLOB PRIMARY KEY, -- SHA-256 of the public key whose private half is the token's secret
  box TEXT NOT NULL,
  statements TEXT NOT NULL, -- a line for each operator who invites: a flattened JWS
  at INTEGER NOT NULL,
  until INTEGER NOT NULL,
  state INTEGER NOT NULL, -- 0 open, 1 admitted, 2 taken back
  request BLOB, -- SHA-256 of the request that was admitted
  admission TEXT -- a flattened JWS: an operator says with which keys it came
) STRICT, WITHOUT ROWID;
CREATE INDEX invitation_box ON invitation (box);
