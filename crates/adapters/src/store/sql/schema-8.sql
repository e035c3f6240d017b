-- From schema 7 to schema 8, for both engines. What it leaves must be what schema.sql makes: a test compares them.

-- SubjectPublicKeyInfo, if a device proved that it has it
ALTER TABLE acme_authorization ADD COLUMN key BLOB;
