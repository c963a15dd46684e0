-- One step of a room: compare, write, publish, append. It knows no rule of rooms.
-- KEYS  1 room  2 history  3 events  4 due  5... lists that go
-- ARGV  1, 2 version and epoch that must be in force   3, 4 those that result
--       5 what the channel is told, or ''              6 the ledger's entry, or ''   7 most entries that may wait
--       8 when the room is due: '' as before, '-' never, or milliseconds             9 the room's name
--       10 how long the room is kept, ms               11 updates to remember, 12 their bytes, 13 for how long, ms
--       14 '1': nothing of the old room stays          15 how many fields are set; their names and values; names of those that go
-- Returns nil when somebody was first, 'full' when the ledger's queue is, else the id of the entry, or 'ok'.
local have = redis.call('HMGET', KEYS[1], 'v', 'e')
local version, epoch = have[1] or '0', have[2] or '0'
if version ~= ARGV[1] or (version ~= '0' and epoch ~= ARGV[2]) then
    return nil
end
if ARGV[6] ~= '' and redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[7]) then
    return 'full'
end

if ARGV[14] == '1' then
    redis.call('DEL', KEYS[1], KEYS[2])
end
local set = tonumber(ARGV[15])
if set == 0 then
    -- What the ledger still says of it is late: for an hour it is known that it was closed.
    redis.call('HSET', KEYS[1], 'c', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], 3600000)
else
    redis.call('HDEL', KEYS[1], 'c')
    redis.call('HSET', KEYS[1], 'v', ARGV[3], 'e', ARGV[4])
    -- A call takes some thousand values at most.
    for first = 1, set, 1000 do
        local last = math.min(first + 999, set)
        redis.call('HSET', KEYS[1], unpack(ARGV, 14 + 2 * first, 15 + 2 * last))
    end
    redis.call('PEXPIRE', KEYS[1], ARGV[10])
end
for field = 16 + 2 * set, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[field])
end
for list = 5, #KEYS do
    redis.call('DEL', KEYS[list])
end

local most = tonumber(ARGV[11])
if most > 0 then
    local count = redis.call('RPUSH', KEYS[2], ARGV[5])
    -- The list may have expired since: what it weighs begins with it.
    if count == 1 then
        redis.call('HDEL', KEYS[1], 'h')
    end
    local bytes = redis.call('HINCRBY', KEYS[1], 'h', #ARGV[5])
    local gone = 0
    while count > most or bytes - gone > tonumber(ARGV[12]) do
        local old = redis.call('LPOP', KEYS[2])
        if not old then
            break
        end
        count, gone = count - 1, gone + #old
    end
    if gone > 0 then
        redis.call('HINCRBY', KEYS[1], 'h', -gone)
    end
    redis.call('PEXPIRE', KEYS[2], ARGV[13])
end

if ARGV[8] == '-' then
    redis.call('ZREM', KEYS[4], ARGV[9])
elseif ARGV[8] ~= '' then
    redis.call('ZADD', KEYS[4], ARGV[8], ARGV[9])
end
if ARGV[5] ~= '' then
    redis.call('SPUBLISH', KEYS[1], ARGV[5])
end
if ARGV[6] ~= '' then
    return redis.call('XADD', KEYS[3], '*', 'e', ARGV[6])
end
return 'ok'
