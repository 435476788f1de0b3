-- Trees of jobs that were made before there were any: a source that is another job's result is an edit of it. A parent
-- is always older than its child, so there is no circle. Salvage runs this too: what has its photo stays as it is.
UPDATE jobs SET result = coalesce(json_extract(body, '$.result.sha256'), '') WHERE result = '' AND json_valid(body);
UPDATE jobs SET parent = coalesce((SELECT p.id FROM images i JOIN jobs p ON p.result = i.sha256
    WHERE i.job = jobs.id AND i.n = 1 AND p.num < jobs.num ORDER BY p.num DESC LIMIT 1), '') WHERE photo = '';
UPDATE jobs SET parent = '' WHERE parent <> '' AND NOT EXISTS (SELECT 1 FROM jobs p WHERE p.id = jobs.parent);
UPDATE jobs SET photo = coalesce((
    WITH RECURSIVE up (id, parent) AS (
      SELECT jobs.id, jobs.parent
      UNION ALL
      SELECT p.id, p.parent FROM up JOIN jobs p ON p.id = up.parent
    )
    SELECT i.sha256 FROM up JOIN images i ON i.job = up.id AND i.n = 1 WHERE up.parent = ''
  ), '') WHERE photo = '';
