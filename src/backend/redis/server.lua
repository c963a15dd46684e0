-- Which server this is, and for how long nodes still compare their rooms with it.
-- KEYS  1 comparing   ARGV  1 the server that this node knew before, or ''   2 for how long nodes compare, in ms
-- Returns the id of the server, or '' where it may not be asked; the milliseconds that are left.
local info = redis.pcall('INFO', 'server')
local id = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local kept = redis.pcall('GET', KEYS[1])
local of, till = string.match(type(kept) == 'string' and kept or '', '^(%x+) (%d+)$')
till = of == id and tonumber(till) or 0
if till == 0 and id ~= '' and ARGV[1] ~= '' and ARGV[1] ~= id then
    till = now + tonumber(ARGV[2])
    -- A full Redis refuses this. Then only this node waits.
    redis.pcall('SET', KEYS[1], string.format('%s %.0f', id, till), 'PX', 3600000)
end
return { id, string.format('%.0f', math.max(0, till - now)) }
