-- Forgets a node, unless it lives again.   KEYS  1 nodes  2 the versions that nodes read   ARGV  1 the node
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if lease and tonumber(lease) < now then
    redis.call('HDEL', KEYS[2], ARGV[1])
    return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
