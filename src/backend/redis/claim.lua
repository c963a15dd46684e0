-- Counts that a user uses an invitation: 0 if it is counted, 1 if it has been, 2 if there is no use left.
-- KEYS  1 who has used it   ARGV  1 the user  2 how many may  3 until when it is kept
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then
    return 1
end
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then
    return 2
end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
return 0
