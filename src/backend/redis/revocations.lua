-- Reads the log of revocations after a position, and says whether it has the entry at that position.
-- KEYS  1 the log   ARGV  1 the position  2 how many at most
local last = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
return {#last, redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])}
