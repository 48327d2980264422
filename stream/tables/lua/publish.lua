#!lua
-- Writes one snapshot. KEYS: token hash, header string, records hash. Returns 1, or 0 when the token is old.
-- ARGV: epoch, sequence (integers), header, channel, number of changed records, key and record of each, keys that are gone.

-- Lua's unpack fails above about 8000 values; a power of two below that.
local CHUNK = 4096

for i, expected in ipairs({'hash', 'string', 'hash'}) do
    local kind = redis.call('TYPE', KEYS[i]).ok
    if kind ~= expected and kind ~= 'none' then
        return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', expected a ' .. expected)
    end
end
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'sequence')
-- A sequence that does not advance is a late duplicate of a write whose reply was lost.
if stored[1] ~= ARGV[1] or tonumber(ARGV[2]) <= tonumber(stored[2] or '0') then
    return 0
end

-- First the announcement: no subscriber sees it before this script has ended, and a user without the right to
-- publish is refused here, before anything is written.
redis.call('PUBLISH', ARGV[4], ARGV[2])
redis.call('HSET', KEYS[1], 'sequence', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
local function in_chunks(command, first, last)
    for i = first, last, CHUNK do
        redis.call(command, KEYS[3], unpack(ARGV, i, math.min(i + CHUNK - 1, last)))
    end
end
local last_changed = 5 + 2 * tonumber(ARGV[5])
in_chunks('HSET', 6, last_changed)
in_chunks('HDEL', last_changed + 1, #ARGV)
return 1
