-- What a partition of the ledger's queue takes of Redis' memory.
-- KEYS  1 events   ARGV  1 '1': also how much memory there may be   2 '1': it is a Redis Cluster
-- Returns bytes, or what so many entries usually take where Redis does not tell; maxmemory, or ''; how many servers share the keys.
local weighs = redis.pcall('MEMORY', 'USAGE', KEYS[1])
if type(weighs) ~= 'number' then
    weighs = redis.call('XLEN', KEYS[1]) * 400
end
local most, servers = '', '1'
if ARGV[1] == '1' then
    local memory = redis.pcall('INFO', 'memory')
    if type(memory) == 'string' then
        most = string.match(memory, 'maxmemory:(%d+)') or ''
    end
    local cluster = ARGV[2] == '1' and redis.pcall('CLUSTER', 'INFO')
    if type(cluster) == 'string' then
        servers = string.match(cluster, 'cluster_size:(%d+)') or '1'
    end
end
return { tostring(weighs), most, servers }
