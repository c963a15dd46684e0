-- One step of a room: compare, write, publish, append. It knows no rule of rooms.
-- KEYS  1 room  2 events  then, as the flags say: its history, the list of due rooms, and lists that are deleted
-- ARGV  1 flags  2 version and epoch that must be in force  3 the lineage that follows: eight bytes, then the version
--       4 the update  5 the ledger's entry; '' without one  6 how many entries may wait in the ledger's queue  7 and how many bytes
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
local call, room, events, flags, update, entry = redis.call, KEYS[1], KEYS[2], ARGV[1], ARGV[4], ARGV[5]
local have = call('HMGET', room, 'v', 'e', 'h')
local found = have[1] or '0'
if found == '0' then
    if string.sub(ARGV[2], 1, 2) ~= '0 ' then
        return nil
    end
elseif found .. ' ' .. (have[2] or '0') ~= ARGV[2] then
    return nil
end

if entry ~= '' then
    local waiting = call('XLEN', events)
    if waiting >= tonumber(ARGV[6]) then
        return 'full'
    end
    -- Weighing takes as long as all the rest. While nobody takes entries out, each of them passes here once.
    if waiting % 16 == 0 and waiting > 0 then
        local weighs = redis.pcall('MEMORY', 'USAGE', events)
        -- Where Redis does not tell: what so many usually take.
        if type(weighs) ~= 'number' then
            weighs = waiting * 400
        end
        if weighs >= tonumber(ARGV[7]) then
            return 'full'
        end
    end
end

-- Remembers the update in a history, and forgets the oldest beyond the most updates and bytes. Returns what the history weighs now.
local function remember(history, most, most_bytes, age)
    local count = call('RPUSH', history, update)
    -- The list may have expired since: what it weighs begins with it.
    local weighs = #update + (count > 1 and tonumber(have[3]) or 0)
    -- Several at a time, because each command costs as much as all the rest here.
    local over = count - tonumber(most)
    if over >= 16 then
        for _, old in ipairs(call('LPOP', history, over)) do
            weighs = weighs - #old
        end
    end
    while weighs > tonumber(most_bytes) do
        local old = call('LPOP', history)
        if not old then
            break
        end
        weighs = weighs - #old
    end
    call('PEXPIRE', history, age)
    return weighs
end

-- Most commits are these. What follows costs more than all commands.
if (flags == 'ep' or flags == 'eph') and found ~= '0' then
    if flags == 'eph' then
        local weighs = remember(KEYS[3], ARGV[8], ARGV[9], ARGV[10])
        call('HSET', room, 'v', string.sub(ARGV[3], 9), 'l', ARGV[3], 'u', update, 'h', weighs)
    else
        call('HSET', room, 'v', string.sub(ARGV[3], 9), 'l', ARGV[3], 'u', update)
    end
    call('SPUBLISH', room, update)
    return call('XADD', events, '*', 'e', entry .. update)
end

local key, arg = 2, 7
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
local epoch = string.match(ARGV[2], '%d+$')
local history = has('h') and next_key()
local due = has('d') and next_key()
if found == '0' or has('x') then
    -- If memory is short this is refused, and what follows would not be.
    call('HSET', room, 'v', found)
    call('DEL', room)
end
-- All that is written of the room is one command.
local set, unset, kept = { 'v', string.sub(ARGV[3], 9), 'l', ARGV[3] }, {}, false
if has('p') then
    set[5], set[6] = 'u', update
end
if has('r') then
    kept = next_arg()
    local fields = tonumber(next_arg())
    set[#set + 1], set[#set + 2], unset[1] = 'e', epoch, 'u'
    for i = 1, 2 * fields do
        set[#set + 1] = ARGV[arg + i]
    end
    arg = arg + 2 * fields
end
if has('m') then
    for _ = 1, tonumber(next_arg()) do
        unset[#unset + 1] = next_arg()
    end
end
if history then
    local weighs = remember(history, next_arg(), next_arg(), next_arg())
    set[#set + 1], set[#set + 2] = 'h', weighs
end
if has('x') then
    -- What the ledger still says of it is late: for an hour it is known that it was closed.
    call('HSET', room, 'c', epoch)
    call('PEXPIRE', room, 3600000)
else
    call('HSET', room, unpack(set))
    if unset[1] then
        call('HDEL', room, unpack(unset))
    end
    if kept and found == '0' then
        -- From then on whoever holds the room keeps it from expiring.
        call('PEXPIRE', room, kept)
    end
end
if due then
    local name, at = next_arg(), next_arg()
    if at == '-' then
        call('ZREM', due, name)
    else
        call('ZADD', due, at, name)
    end
end
while key < #KEYS do
    call('DEL', next_key())
end
call('SPUBLISH', has('c') and next_arg() or room, update)
if entry ~= '' then
    return call('XADD', events, '*', 'e', has('e') and entry .. update or entry)
end
return 'ok'
