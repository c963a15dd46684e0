#!lua flags=allow-oom
-- Removes entries that are in the ledger from the queue, also when Redis is full, because this frees memory.
-- KEYS  1 events   ARGV  1 the consumer group  2 the ids, each "<milliseconds since the one before>-<number>"
-- Deleted before acknowledged: an entry that is deleted but not acknowledged is acknowledged later, while one that is acknowledged but not
-- deleted would stay for ever.
local ids, time = {}, 0
for since, number in string.gmatch(ARGV[2], '(%d+)-(%d+)') do
    time = time + tonumber(since)
    ids[#ids + 1] = string.format('%.0f-%s', time, number)
end
-- A call takes some thousand values at most.
for first = 1, #ids, 1000 do
    local last = math.min(first + 999, #ids)
    redis.call('XDEL', KEYS[1], unpack(ids, first, last))
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ids, first, last))
end
return #ids
