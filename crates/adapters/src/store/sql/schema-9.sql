-- From schema 8 to schema 9, for both engines. What it leaves must be what schema.sql makes: a test compares them.

-- The certificate that a device brings from its maker: the maker's name and its serial number
ALTER TABLE device ADD COLUMN idevid TEXT;
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
