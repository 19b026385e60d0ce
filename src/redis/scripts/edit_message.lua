-- Replaces a message in its place. The replaced one goes to a trash list of its own, which expires, and the edit is kept as an
-- ended job. An edit is undone by another edit, which takes its payload out of the trash of the first, and ends the plan of the undo.
-- All checks come first; every write that may be refused comes before the first message is written.
-- KEYS  1 list  2 trash (list, empty)  3 state (hash)  4 receipt (string: this edit only)  5 job (hash)  6 jobs (sorted set of ids)
--       7 claim (string: which job works on the list)  8 from (list: the trash that the payload is taken from, if `fromDigest` is given)
--       9 plan (hash: the planned job that the edit ends, if `planResult` is given)
-- ARGV  1 sequence number  2 id of this move  3 notAfterMs (server's clock)  4 token of the leader lease (empty: not checked)
--       5 job  6 place of the message, from 1 at the oldest  7 its sha1  8 payload  9 fromDigest (sha1 of the payload; empty: ARGV 8 is the payload)
--       10 milliseconds until the job's hash expires  11 milliseconds until the trash expires
--       12 name of the operator  13 planResult (what the ended plan did; empty: none is ended)  14.. fields of the job: name, value, …
-- Returns 'ok' | 'duplicate' | 'not_leader' | 'stale' | 'expired' | 'busy' (a job runs on the source or the list) | 'conflict' (another
-- message is at the place) | 'gone' (`from` has no such message) | 'started' (the plan is no longer planned) | 'wrong_type'. Only 'ok' changes anything. Bound: two messages,
-- and the way to the place from the nearer end.
local list, trash, state, receipt, job, jobs, claim, from, plan = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local sequence, id, notAfterMs, token = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local jobId, place, digest, payload, fromDigest = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9]
local keepMs, trashMs, by, planResult = ARGV[10], ARGV[11], ARGV[12], ARGV[13]
-- include whole.lua
-- include claim.lua
-- include move_checks.lua

local refusal = findMoveRefusal({
  { list, 'list' }, { trash, 'list' }, { job, 'hash' }, { jobs, 'zset' }, { claim, 'string' }, { from, 'list' },
  { plan, 'hash' },
}, 'job')
if refusal then return refusal end
if (record[3] or '') ~= '' or isClaimedByOther() then return 'busy' end
if planResult ~= '' and redis.call('HGET', plan, 'status') ~= 'planned' then return 'started' end
local fromHead = redis.call('LLEN', list) - place
if fromHead < 0 then return 'conflict' end
-- Count from the nearer end: an old Redis walks the list from the end that the sign selects.
local index = fromHead < place and fromHead or -place
local message = redis.call('LINDEX', list, index)
if not message or redis.sha1hex(message) ~= digest then return 'conflict' end
if fromDigest ~= '' then
  payload = redis.call('LINDEX', from, 0)
  if not payload or redis.sha1hex(payload) ~= fromDigest then return 'gone' end
end

tryWrites(list)
redis.call('LSET', list, index, message)
redis.call('HSET', job, 'createdAtMs', nowMs, 'startedAtMs', nowMs, 'endedAtMs', nowMs, unpack(ARGV, 14))
redis.call('PEXPIRE', job, keepMs)
redis.call('ZADD', jobs, nowMs, jobId)
if planResult ~= '' then
  redis.call('HSET', plan, 'status', 'done', 'startedBy', by, 'startedAtMs', nowMs, 'endedAtMs', nowMs, 'result', planResult)
  redis.call('PEXPIRE', plan, keepMs)
end
redis.call('LPUSH', trash, message)
redis.call('PEXPIRE', trash, trashMs)
redis.call('LSET', list, index, payload)
if fromDigest ~= '' then redis.call('LTRIM', from, 1, -1) end
recordMove()
return 'ok'
