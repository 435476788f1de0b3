-- The tree of edits: parent is the job whose result was edited, photo the sha256 of the photo that the tree began with,
-- result that of the picture. A job in the trash is hidden until it is restored, or removed for good.
ALTER TABLE jobs ADD COLUMN parent     TEXT    NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN photo      TEXT    NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN result     TEXT    NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN starred    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN trashed_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_by_photo ON jobs (photo);
CREATE INDEX jobs_by_parent ON jobs (parent);
CREATE INDEX jobs_by_result ON jobs (result);
