-- Says that a node lives, and which do not. By Redis' own clock: those of the nodes may differ.
-- KEYS  1 nodes   ARGV  1 the node  2 its lease, ms
-- Returns whether the lease had run out, then the nodes whose lease has.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mine = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local lost = (not mine or tonumber(mine) < now) and '1' or '0'
return { lost, unpack(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, 1000)) }
