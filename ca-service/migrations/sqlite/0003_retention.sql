-- What has ended long ago is found without a look at every certificate; and so is what has begun and not ended.
CREATE INDEX certificates_by_end ON certificates (not_after);
CREATE INDEX certificates_begun ON certificates (issued_at) WHERE state = 'started';
