-- num is the order of creation, ord the order in the queue: a retry by a person gets a new ord, a retry by the
-- supervisor keeps it and so stands at the head.
CREATE TABLE jobs (
  num        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT    NOT NULL UNIQUE,
  ord        INTEGER NOT NULL,
  state      TEXT    NOT NULL,
  prompt     TEXT    NOT NULL,
  body       TEXT    NOT NULL, -- job.Job as JSON
  seed       INTEGER NOT NULL,
  deaths     INTEGER NOT NULL DEFAULT 0,
  errors     INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL,
  ended_ms   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, ord);

CREATE TABLE attempts (
  job        TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  attempt    INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  state      TEXT    NOT NULL,
  code       TEXT    NOT NULL DEFAULT '',
  started_ms INTEGER NOT NULL,
  ended_ms   INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (job, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE images (
  job    TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  n      INTEGER NOT NULL,
  sha256 TEXT    NOT NULL,
  width  INTEGER NOT NULL,
  height INTEGER NOT NULL,
  name   TEXT    NOT NULL,
  PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX images_by_hash ON images (sha256);

-- What was learned on this machine, for example the pace of a model.
CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
