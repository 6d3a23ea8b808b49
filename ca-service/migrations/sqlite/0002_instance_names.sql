-- Names besides the address by which applications reach an instance's agent or client: a JSON array of texts.
ALTER TABLE instances ADD COLUMN names TEXT NOT NULL DEFAULT '[]';
