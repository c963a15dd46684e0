-- Keeps a signal for a member that is away, or whose node has no socket of it.
-- KEYS  1 room  2 inbox
-- ARGV  1 the member's field  2 the frame  3 most frames  4 their bytes  5 how long they are kept, ms  6 a node that has no socket of it, or ''
--       7 what stands before the first when older ones had to go
-- Returns nil when there is no such member, the name of its node when it is at another one, a blank and how many had to go when the frame was kept.
local member = redis.call('HGET', KEYS[1], ARGV[1])
if not member then
    return nil
end
-- After its version, whatever that is, a member's record has the node of its socket, or nothing while the member is away.
local node = string.match(member, '^.([^\n]+)\n')
if node and node ~= ARGV[6] then
    return node
end
redis.call('RPUSH', KEYS[2], ARGV[2])
local frames = redis.call('LRANGE', KEYS[2], 0, -1)
local first = frames[1] == ARGV[7] and 2 or 1
local count, bytes, gone = #frames - first + 1, 0, 0
for place = first, #frames do
    bytes = bytes + #frames[place]
end
while count > tonumber(ARGV[3]) or bytes > tonumber(ARGV[4]) do
    bytes = bytes - #frames[first + gone]
    count, gone = count - 1, gone + 1
end
if gone > 0 then
    redis.call('LTRIM', KEYS[2], first - 1 + gone, -1)
    redis.call('LPUSH', KEYS[2], ARGV[7])
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return ' ' .. gone
