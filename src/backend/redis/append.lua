-- Appends an entry of the ledger again, unless it is still there.
-- KEYS  1 events   ARGV  1 the id that it had  2 the entry
-- Returns the id that it has.
local there = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
-- After a failover another entry may have its id.
if there and there[2][2] == ARGV[2] then
    return ARGV[1]
end
return redis.call('XADD', KEYS[1], '*', 'e', ARGV[2])
