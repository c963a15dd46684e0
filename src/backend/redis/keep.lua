-- Keeps a signal for a member that is away.
-- KEYS  1 room  2 inbox
-- ARGV  1 the member's field  2 the frame  3 most frames  4 their bytes  5 how long they are kept, ms  6 '1': wherever it is
-- Returns nil when there is no such member, the name of its node when it is there, '' when the frame was kept.
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then
    return nil
end
if ARGV[6] ~= '1' then
    local member = cjson.decode(text)
    if type(member.presence) ~= 'table' then
        return member.node
    end
end
local count = redis.call('RPUSH', KEYS[2], ARGV[2])
local bytes = 0
for place, frame in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    bytes = bytes + #frame
end
while count > tonumber(ARGV[3]) or bytes > tonumber(ARGV[4]) do
    local old = redis.call('LPOP', KEYS[2])
    if not old then
        break
    end
    count, bytes = count - 1, bytes - #old
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return ''
