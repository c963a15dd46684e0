-- Forgets signals that have reached their member. Where the last of them no longer is, they had to go in the meantime.
-- KEYS  1 inbox   ARGV  1 the last of them  2 how many they were
local frames = redis.call('LRANGE', KEYS[1], 0, ARGV[2] - 1)
for place = #frames, 1, -1 do
    if frames[place] == ARGV[1] then
        redis.call('LTRIM', KEYS[1], place, -1)
        return place
    end
end
return 0
