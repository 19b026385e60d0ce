-- Stages messages of an import in the job's own list, before the job is planned. The list expires unless the job starts.
-- KEYS  1 own (list; oldest right)  2 job (hash)
-- ARGV  1 offset: messages that must have been staged before  2 milliseconds until the list expires  3.. messages, oldest first
-- Returns how many messages are staged; -1 if the job is planned already. It stages only at the offset, so a chunk that is sent
-- again is not staged twice. Bound: the messages.
local own, job = KEYS[1], KEYS[2]
local offset, expiresInMs = tonumber(ARGV[1]), ARGV[2]

if redis.call('TYPE', job).ok ~= 'none' then return -1 end
local staged = redis.call('LLEN', own)
if staged ~= offset then return staged end
if #ARGV > 2 then staged = redis.call('LPUSH', own, unpack(ARGV, 3)) end
redis.call('PEXPIRE', own, expiresInMs)
return staged
