-- Gives a short code to a room, unless another has it.
-- KEYS  1 code   ARGV  1 the room  2 until  3 now  4 how long the key is kept, ms
local have = redis.call('GET', KEYS[1])
if have then
    local till, room = string.match(have, '^(%d+):(.*)$')
    -- What is no code of ours is nobody's.
    if till and room ~= ARGV[1] and tonumber(till) > tonumber(ARGV[3]) then
        return 0
    end
end
redis.call('SET', KEYS[1], ARGV[2] .. ':' .. ARGV[1], 'PX', ARGV[4])
return 1
