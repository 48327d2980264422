#!lua
-- Takes the publisher's token. KEYS: token hash.
-- ARGV: lowest sequence and epoch to take (integer, normally ms since the epoch). Returns {epoch, sequence}.

-- The epoch also starts from the caller's number: after the store lost its newest writes, stored + 1 alone
-- could give a new publisher the epoch that a living one still holds.
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'sequence')
local at_least = tonumber(ARGV[1])
local epoch = math.max(tonumber(stored[1] or '0') + 1, at_least)
local sequence = math.max(tonumber(stored[2] or '0'), at_least)
local taken = {string.format('%.0f', epoch), string.format('%.0f', sequence)}
redis.call('HSET', KEYS[1], 'epoch', taken[1], 'sequence', taken[2])
return taken
