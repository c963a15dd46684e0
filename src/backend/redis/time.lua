-- What time it is by Redis' clock, in microseconds since 1970. A script, so that on a Redis Cluster it is always the same server's.
-- KEYS  1 any key of that server
local time = redis.call('TIME')
return time[1] * 1000000 + time[2]
