#!lua
-- Writes settled results, or alerts. KEYS: token hash, results hash, outbox hash. Returns 1, or 0 when the token is old.
-- ARGV: epoch, state, then four lists, each with its length before it: fields and values of results, fields of
-- results that are gone, fields and values of the outbox, fields of the outbox that have left.

local CHUNK = 4096

for i = 1, 3 do
    local kind = redis.call('TYPE', KEYS[i]).ok
    if kind ~= 'hash' and kind ~= 'none' then
        return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', expected a hash')
    end
end
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
local at = 3
for _, step in ipairs({{'HSET', KEYS[2]}, {'HDEL', KEYS[2]}, {'HSET', KEYS[3]}, {'HDEL', KEYS[3]}}) do
    local last = at + tonumber(ARGV[at])
    for i = at + 1, last, CHUNK do
        redis.call(step[1], step[2], unpack(ARGV, i, math.min(i + CHUNK - 1, last)))
    end
    at = last + 1
end
return 1
