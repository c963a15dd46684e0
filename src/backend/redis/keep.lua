-- Keeps a signal for a member that is away, or whose node has no socket of it.
-- KEYS  1 room  2 inbox
-- ARGV  1 the member's field  2 the frame  3 most frames  4 their bytes  5 how long they are kept, ms  6 a node that has no socket of it, or ''
--       7 what stands before the first when others had to go
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
local count, bytes = #frames - first + 1, 0
for place = first, #frames do
    bytes = bytes + #frames[place]
end
local most, most_bytes, gone, last = tonumber(ARGV[3]), tonumber(ARGV[4]), 0, 0
if count > most or bytes > most_bytes then
    -- The oldest of whoever has most in here go, so that nobody pushes out what others have sent. A frame begins with its type and its sender.
    local sender, weight, has = {}, {}, {}
    for place = first, #frames do
        local from = string.match(frames[place], '^{"type":"[^"]*","[^"]*":"([^"]*)') or ''
        sender[place], weight[place] = from, #frames[place] + most_bytes / most
        has[from] = (has[from] or 0) + weight[place]
    end
    repeat
        local heaviest
        for place = first, #frames do
            local from = sender[place]
            if from and (not heaviest or has[from] > has[sender[heaviest]]) then
                heaviest = place
            end
        end
        has[sender[heaviest]] = has[sender[heaviest]] - weight[heaviest]
        bytes = bytes - #frames[heaviest]
        sender[heaviest], count, gone, last = false, count - 1, gone + 1, math.max(last, heaviest)
    until count <= most and bytes <= most_bytes
    redis.call('LTRIM', KEYS[2], last, -1)
    for place = last, first, -1 do
        if sender[place] then
            redis.call('LPUSH', KEYS[2], frames[place])
        end
    end
    redis.call('LPUSH', KEYS[2], ARGV[7])
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return ' ' .. gone
