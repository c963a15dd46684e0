#!lua flags=allow-oom
-- Removes entries that are in the ledger from the queue, also when Redis is full, because this frees memory.
-- KEYS  1 events   ARGV  1 the consumer group  then ids, in ascending order
-- If no worker has anything in hand, the stream is cut off behind what was delivered, which costs a tenth of deleting one by one. Whatever
-- an earlier call has acknowledged and not deleted, because it failed halfway, goes along then.
local stream, group = KEYS[1], ARGV[1]

-- Whether the first id is not after the second.
local function in_order(first, second)
    local first_time, first_number = string.match(first, '^(%d+)-(%d+)$')
    local second_time, second_number = string.match(second, '^(%d+)-(%d+)$')
    if first_time == second_time then
        return tonumber(first_number) <= tonumber(second_number)
    end
    return tonumber(first_time) < tonumber(second_time)
end

-- The last id that was given to a worker. An older server, or a group that was created again, may not know that it gave these.
local delivered = '0-0'
local groups = redis.pcall('XINFO', 'GROUPS', stream)
if groups.err then
    -- Redis has lost the stream, and there is nothing to remove.
    return string.find(groups.err, 'no such key', 1, true) and 0 or groups
end
for _, fields in ipairs(groups) do
    local about = {}
    for i = 1, #fields, 2 do
        about[fields[i]] = fields[i + 1]
    end
    if about.name == group then
        delivered = about['last-delivered-id']
    end
end

local last = #ARGV
-- A call takes some thousand values at most.
for from = 2, last, 4000 do
    redis.call('XACK', stream, group, unpack(ARGV, from, math.min(from + 3999, last)))
end
if in_order(ARGV[last], delivered) and redis.call('XPENDING', stream, group)[1] == 0 then
    local time, number = string.match(delivered, '^(%d+)-(%d+)$')
    redis.call('XTRIM', stream, 'MINID', '=', string.format('%s-%.0f', time, number + 1))
else
    for from = 2, last, 4000 do
        redis.call('XDEL', stream, unpack(ARGV, from, math.min(from + 3999, last)))
    end
end
return last - 1
