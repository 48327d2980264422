#!lua
-- Takes a partition. KEYS: meta, then every other hash of the partition.
-- ARGV: own last epoch (integer), process nonce, assignment (integer). Returns {epoch, id of the last commit or ''}.

-- A commit is a transaction, and a transaction keeps its other writes when one key has the wrong type.
-- So the types are checked here, once, before anybody can commit.
for i = 1, #KEYS do
    local kind = redis.call('TYPE', KEYS[i]).ok
    if kind ~= 'hash' and kind ~= 'none' then
        return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind .. ', expected a hash')
    end
end

local stored = redis.call('HMGET', KEYS[1], 'epoch', 'commit')
local epoch = math.max(tonumber(stored[1] or '0') or 0, tonumber(ARGV[1])) + 1
local text = string.format('%.0f', epoch)
redis.call('HSET', KEYS[1], 'owner', text .. ':' .. ARGV[2] .. ':' .. ARGV[3], 'epoch', text)
return {text, stored[2] or ''}
