-- One process a node's name.   KEYS  1 the name's process   ARGV  1 this process  2 for how long, ms  3 '1': take the name
-- Returns '' or the process that has the name.
local has = redis.call('GET', KEYS[1])
if has and has ~= ARGV[1] and ARGV[3] ~= '1' then
    return has
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
