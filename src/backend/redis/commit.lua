-- One step of a room: compare, write, publish, append. It knows no rule of rooms.
-- KEYS  1 room  2 events  then, as the flags say: its history, the list of due rooms, and lists that are deleted
-- ARGV  1 flags, the version that must be in force, the one that follows, the epoch, and how many entries and bytes may wait in the ledger's queue
--       2 the update  3 the lineage that follows  4 the ledger's entry; '' without one
--       then, as the flags say:
-- Flags, in the order of their arguments
--   e   the update is the end of the entry
--   p   the update is the playback from now on
--   r   the room is written: for how long it is kept if it is new, ms; how many fields; their names and values
--   m   members leave: how many fields; their names
--   x   the room is closed
--   h   the update is remembered: the most updates, their bytes, and for how long, ms
--   d   the room is due: its name; '-' for never, or milliseconds
--   c   the room's channel, if its name is not that of the room's key
-- Returns nil when another commit was first, 'full' when the ledger's queue is, else the id of the entry, or 'ok'.
local flags, base, after, epoch, entries, bytes = string.match(ARGV[1], '^(%a*) (%d+) (%d+) (%d+) (%d+) (%d+)$')
local have = redis.call('HMGET', KEYS[1], 'v', 'e')
local version = have[1] or '0'
if version ~= base or (version ~= '0' and have[2] ~= epoch) then
    return nil
end
local key, arg = 2, 4
local function next_key()
    key = key + 1
    return KEYS[key]
end
local function next_arg()
    arg = arg + 1
    return ARGV[arg]
end
local function has(flag)
    return string.find(flags, flag, 1, true)
end

if ARGV[4] ~= '' then
    local waiting = redis.call('XLEN', KEYS[2])
    if waiting >= tonumber(entries) then
        return 'full'
    end
    -- Weighing takes as long as all the rest. While nobody takes entries out, each of them passes here once.
    if waiting % 16 == 0 and waiting > 0 then
        local weighs = redis.pcall('MEMORY', 'USAGE', KEYS[2])
        -- Where Redis does not tell: what so many usually take.
        if type(weighs) ~= 'number' then
            weighs = waiting * 400
        end
        if weighs >= tonumber(bytes) then
            return 'full'
        end
    end
end

local history = has('h') and next_key()
local due = has('d') and next_key()
if version == '0' or has('x') then
    -- If memory is short this is refused, and what follows would not be.
    redis.call('HSET', KEYS[1], 'v', version)
    redis.call('DEL', KEYS[1])
end
if has('x') then
    -- What the ledger still says of it is late: for an hour it is known that it was closed.
    redis.call('HSET', KEYS[1], 'c', epoch)
    redis.call('PEXPIRE', KEYS[1], 3600000)
elseif has('p') then
    redis.call('HSET', KEYS[1], 'v', after, 'l', ARGV[3], 'u', ARGV[2])
else
    redis.call('HSET', KEYS[1], 'v', after, 'l', ARGV[3])
end
if has('r') then
    local kept, fields = next_arg(), tonumber(next_arg())
    redis.call('HSET', KEYS[1], 'e', epoch, unpack(ARGV, arg + 1, arg + 2 * fields))
    redis.call('HDEL', KEYS[1], 'u')
    arg = arg + 2 * fields
    if version == '0' then
        -- From then on whoever holds the room keeps it from expiring.
        redis.call('PEXPIRE', KEYS[1], kept)
    end
end
if has('m') then
    for _ = 1, tonumber(next_arg()) do
        redis.call('HDEL', KEYS[1], next_arg())
    end
end

if history then
    local most, most_bytes, age = tonumber(next_arg()), tonumber(next_arg()), next_arg()
    local count = redis.call('RPUSH', history, ARGV[2])
    -- The list may have expired since: what it weighs begins with it.
    if count == 1 then
        redis.call('HDEL', KEYS[1], 'h')
    end
    local weighs = redis.call('HINCRBY', KEYS[1], 'h', #ARGV[2])
    local gone = 0
    while count > most or weighs - gone > most_bytes do
        local old = redis.call('LPOP', history)
        if not old then
            break
        end
        count, gone = count - 1, gone + #old
    end
    if gone > 0 then
        redis.call('HINCRBY', KEYS[1], 'h', -gone)
    end
    redis.call('PEXPIRE', history, age)
end
if due then
    local room, at = next_arg(), next_arg()
    if at == '-' then
        redis.call('ZREM', due, room)
    else
        redis.call('ZADD', due, at, room)
    end
end
while key < #KEYS do
    redis.call('DEL', next_key())
end
redis.call('SPUBLISH', has('c') and next_arg() or KEYS[1], ARGV[2])
if ARGV[4] ~= '' then
    return redis.call('XADD', KEYS[2], '*', 'e', has('e') and ARGV[4] .. ARGV[2] or ARGV[4])
end
return 'ok'
