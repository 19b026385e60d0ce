-- Puts messages of a job's own list back at the oldest end of the list, changed by the caller: the newest of them first, so that the
-- list followed by what is left is in order at every instant.
-- KEYS  1 own (list)  2 list  3 state (hash)  4 receipt (string: the caller's last move)
-- ARGV  1 sequence number  2 id of this move  3 notAfterMs (server's clock)  4 token of the leader lease (empty: not checked)
--       5 job  6 sha1 of the messages joined, as they stand in the own list, the newest first  7.. what they become, in that order
-- Returns 'ok' | 'duplicate' | 'not_leader' | 'stale' | 'expired' | 'conflict' | 'wrong_type' | 'invalid'. Only 'ok' changes
-- anything. Bound: the bytes of the messages, before and after.
local own, list, state, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local sequence, id, notAfterMs, token, job, digest = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local count = #ARGV - 6
-- include whole.lua
-- include move_checks.lua

if count < 1 or count > 500 then return 'invalid' end
local refusal = findMoveRefusal({ { own, 'list' }, { list, 'list' } }, 'job', 'jobPhase', 'jobReturned')
if refusal then return refusal end
if record[3] ~= job or record[4] ~= 'act' then return 'stale' end
local found = redis.call('LRANGE', own, 0, count - 1)
if #found ~= count or redis.sha1hex(table.concat(found)) ~= digest then return 'conflict' end

tryWrites(own)
-- If this is forbidden, the script ends here and nothing has changed.
redis.call('RPUSH', list, unpack(ARGV, 7))
redis.call('LTRIM', own, count, -1)
recordMove('jobReturned', tonumber(whole(record[5])) + count)
return 'ok'
