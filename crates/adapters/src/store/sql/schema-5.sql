-- From schema 4 to schema 5, for both engines. What it leaves must be what schema.sql makes: a test compares them.

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
