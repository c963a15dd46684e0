-- A room's events, by time. A list for each room in the index meant a page for each room that a batch touches, which was most of what was
-- written; so rooms share sixteen. Who looks for a room names its list too, or reads the whole table:
--   WHERE list = unicode(substr('x', -1)) % 16 AND room_id = 'x'
ALTER TABLE room_events ADD COLUMN list INTEGER AS (unicode(substr(room_id, -1)) % 16) VIRTUAL;
DROP INDEX room_events_room_created;
CREATE INDEX room_events_by_room ON room_events (list, created_at, room_id);
