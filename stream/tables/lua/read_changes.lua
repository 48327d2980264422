#!lua
-- What changed in a partition's sums since a reader looked. KEYS: meta, windows, changed.
-- ARGV: run and number of the last change that the reader has, changes kept.
-- Returns {head, number of the last change found, fields and values in turn}; a value of nil is a field that is gone.

-- Lua's unpack fails above about 8000 values.
local CHUNK = 4096

local head = redis.call('HGET', KEYS[1], 'head')
local number, names, seen = tonumber(ARGV[2]), {}, {}
while true do
    local slot = redis.call('HGET', KEYS[3], string.format('%.0f', (number + 1) % tonumber(ARGV[3])))
    local change = slot and cmsgpack.unpack(slot)
    if not change or change[1] ~= ARGV[1] or change[2] ~= number + 1 then
        break
    end
    number = number + 1
    for _, name in ipairs(change[3]) do
        if not seen[name] then
            seen[name] = true
            names[#names + 1] = name
        end
    end
end
local values = {}
for first = 1, #names, CHUNK do
    local last = math.min(first + CHUNK - 1, #names)
    for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(names, first, last))) do
        values[first + i - 1] = value
    end
end
return {head, string.format('%.0f', number), names, values}
