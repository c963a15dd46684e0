-- One step of a room: compare, write, publish, append. It knows no rule of rooms.
-- KEYS  1 room  2 history  3 events  4 due  5 the room's channel  6... lists that go
-- ARGV  1, 2 version and epoch that must be in force, as they stand there
--       3 what the channel is told, or ''              4 the ledger's entry, or ''   5 most entries that may wait, and bytes of them
--       6 when the room is due: '' as before, '-' never, or milliseconds             7 the room's name
--       8 how long the room is kept, ms                9 updates to remember, 10 their bytes, 11 for how long, ms
--       12 '1': nothing of the old room stays          13 how many fields are set, `v` and `e` among them; their names and values;
--          names of those that go
-- Returns nil when somebody was first, 'full' when the ledger's queue is, else the id of the entry, or 'ok'.
-- What is no hash at all can only be replaced.
if ARGV[12] == '1' and redis.call('TYPE', KEYS[1]).ok ~= 'hash' then
    redis.call('DEL', KEYS[1])
end
local have = redis.call('HMGET', KEYS[1], 'v', 'e')
local version, epoch = have[1] or '0', have[2] or '0'
if version ~= ARGV[1] or (version ~= '0' and epoch ~= ARGV[2]) then
    return nil
end
if ARGV[4] ~= '' then
    local entries, bytes = string.match(ARGV[5], '^(%d+) (%d+)$')
    local waiting = redis.call('XLEN', KEYS[3])
    if waiting >= tonumber(entries) then
        return 'full'
    end
    if waiting > 0 then
        local weighs = redis.pcall('MEMORY', 'USAGE', KEYS[3])
        -- Where Redis does not tell: what so many usually take.
        if type(weighs) ~= 'number' then
            weighs = waiting * 1400
        end
        if weighs >= tonumber(bytes) then
            return 'full'
        end
    end
end

local anew = version == '0' or ARGV[12] == '1'
if anew then
    -- If memory is short this is refused, and what follows would not be.
    redis.call('HSET', KEYS[1], 'v', version)
    redis.call('DEL', KEYS[1], KEYS[2])
end
local set = tonumber(ARGV[13])
-- A call takes some thousand values at most.
for first = 1, set, 1000 do
    local last = math.min(first + 999, set)
    redis.call('HSET', KEYS[1], unpack(ARGV, 12 + 2 * first, 13 + 2 * last))
end
for field = 14 + 2 * set, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[field])
end
if set == 0 then
    -- What the ledger still says of it is late: for an hour it is known that it was closed.
    redis.call('HSET', KEYS[1], 'c', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], 3600000)
elseif anew then
    -- From then on whoever holds the room keeps it from expiring.
    redis.call('PEXPIRE', KEYS[1], ARGV[8])
end
for list = 6, #KEYS do
    redis.call('DEL', KEYS[list])
end

local most = tonumber(ARGV[9])
if most > 0 then
    local count = redis.call('RPUSH', KEYS[2], ARGV[3])
    -- The list may have expired since: what it weighs begins with it.
    if count == 1 then
        redis.call('HDEL', KEYS[1], 'h')
    end
    local bytes = redis.call('HINCRBY', KEYS[1], 'h', #ARGV[3])
    local gone = 0
    while count > most or bytes - gone > tonumber(ARGV[10]) do
        local old = redis.call('LPOP', KEYS[2])
        if not old then
            break
        end
        count, gone = count - 1, gone + #old
    end
    if gone > 0 then
        redis.call('HINCRBY', KEYS[1], 'h', -gone)
    end
    redis.call('PEXPIRE', KEYS[2], ARGV[11])
end

if ARGV[6] == '-' then
    redis.call('ZREM', KEYS[4], ARGV[7])
elseif ARGV[6] ~= '' then
    redis.call('ZADD', KEYS[4], ARGV[6], ARGV[7])
end
if ARGV[3] ~= '' then
    redis.call('SPUBLISH', KEYS[5], ARGV[3])
end
if ARGV[4] ~= '' then
    return redis.call('XADD', KEYS[3], '*', 'e', ARGV[4])
end
return 'ok'
