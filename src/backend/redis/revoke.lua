-- Adds revocations to their log, which is read by every node, and forgets some that are over.
-- KEYS  1 the log   ARGV  1 now  2 how many it may have  3... until and record of each
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 100)) do
    -- Each entry has the fields u and r. What has not is no entry of ours.
    local till = tonumber(entry[2][2] or '')
    if not till or till <= tonumber(ARGV[1]) then
        redis.call('XDEL', KEYS[1], entry[1])
    end
end
if redis.call('XLEN', KEYS[1]) + (#ARGV - 2) / 2 > tonumber(ARGV[2]) then
    return 0
end
for number = 3, #ARGV, 2 do
    redis.call('XADD', KEYS[1], '*', 'u', ARGV[number], 'r', ARGV[number + 1])
end
return 1
