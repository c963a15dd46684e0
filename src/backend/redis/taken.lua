-- Forgets signals that have reached their member. Some of them may have had to go in the meantime: of each sender its oldest.
-- KEYS  1 inbox
-- ARGV  1 how many they were, and one for what may stand before them  2 that, if it stays: its member was not told of it, or ''
--       3 how long an inbox is kept, ms  4... the last of each sender, newest first
local frames = redis.call('LRANGE', KEYS[1], 0, ARGV[1] - 1)
for word = 4, #ARGV do
    for place = #frames, 1, -1 do
        if frames[place] == ARGV[word] then
            redis.call('LTRIM', KEYS[1], place, -1)
            if frames[1] == ARGV[2] then
                redis.call('LPUSH', KEYS[1], ARGV[2])
                redis.call('PEXPIRE', KEYS[1], ARGV[3])
            end
            return place
        end
    end
end
return 0
