-- Says that a node lives, and which do not. By Redis' own clock: those of the nodes may differ.
-- KEYS  1 nodes  2 the versions of records that nodes read; in the field '' the highest that is written
-- ARGV  1 the node  2 its lease, ms  3 the highest version that it reads
-- Returns whether the lease had run out, the version to write, then the nodes whose lease has run out. For a node that cannot read what is
-- written 'old' and that version: it is given no lease.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local written = tonumber(redis.call('HGET', KEYS[2], '') or '1')
local lowest = tonumber(ARGV[3])
if lowest < written then
    return { 'old', tostring(written) }
end
local mine = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do
    -- One that does not say reads the first.
    lowest = math.min(lowest, tonumber(redis.call('HGET', KEYS[2], node) or '1'))
end
-- From now on no node that cannot read it gets a lease: what is written never goes back.
if lowest > written then
    written = lowest
    redis.call('HSET', KEYS[2], '', written)
end
local lost = (not mine or tonumber(mine) < now) and '1' or '0'
return { lost, tostring(written), unpack(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, 1000)) }
