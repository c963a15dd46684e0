-- Replaces the record of a room by the whole room, and tells the nodes that have it.
-- KEYS  1 room  2 history  3 the list of due rooms  4 the room's channel
-- ARGV  1, 2 version and epoch that must be in force, as they stand there  3 what the channel is told
--       4 when the room is due: '' as before, '-' never, or milliseconds  5 the room's name  6 how long it is kept, ms
--       then names and values of its fields
-- Returns nil when it has changed meanwhile, else 'ok'.
-- What is no hash at all can only be replaced.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then
    redis.call('DEL', KEYS[1])
end
local have = redis.call('HMGET', KEYS[1], 'v', 'e')
local version, epoch = have[1] or '0', have[2] or '0'
if version ~= ARGV[1] or (version ~= '0' and epoch ~= ARGV[2]) then
    return nil
end
-- If memory is short this is refused, and what follows would not be.
redis.call('HSET', KEYS[1], 'v', version)
redis.call('DEL', KEYS[1], KEYS[2])
-- A call takes some thousand values at most.
for first = 7, #ARGV, 2000 do
    redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
if ARGV[4] == '-' then
    redis.call('ZREM', KEYS[3], ARGV[5])
elseif ARGV[4] ~= '' then
    redis.call('ZADD', KEYS[3], ARGV[4], ARGV[5])
end
redis.call('SPUBLISH', KEYS[4], ARGV[3])
return 'ok'
