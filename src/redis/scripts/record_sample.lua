-- Appends a sample to the history of a source: what Redis holds at this instant, and what the caller has counted.
-- KEYS  1 history (stream)  2 dlq (list)  3 state (hash)  4 shelf (list: what a job has swept past)  5 dead (list)
--       6 target (list)
-- ARGV  1 most samples that the history keeps, about  2 keepMs  3 what the caller has counted (JSON)
--       4 depth at the caller's last sample ('': not known)  5 pickedTotal then  6 messages that it has moved since
--       7 leastMs: no sample if the newest one is younger (0: always)
-- Returns {depth, pickedTotal, 1 if a job runs} | 'early' | 'wrong_type'; then nothing has changed. Bound: one entry.
local history, dlq, state, shelf, dead, target = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local most, keepMs, counted = ARGV[1], ARGV[2], ARGV[3]
local lastDepth, lastPicked, moved = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local leastMs = tonumber(ARGV[7])
-- include whole.lua

local kind = redis.call('TYPE', history).ok
if kind ~= 'none' and kind ~= 'stream' then return 'wrong_type' end
local newest = leastMs > 0 and redis.call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
if newest then
  local time = redis.call('TIME')
  local ageMs = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(newest[1]:match('^%d+'))
  if ageMs >= 0 and ageMs < leastMs then return 'early' end
end
local record = redis.call('HMGET', state, 'job', 'jobList', 'pickedTotal')
local hasJob, picked = record[1] and record[1] ~= '', whole(record[3])
local depth = redis.call('LLEN', dlq) + (record[2] ~= 'dead' and redis.call('LLEN', shelf) or 0)
-- A job moves messages from and to other lists, so nothing can be said of what arrived.
local arrived = ''
if lastDepth and not hasJob and picked == lastPicked then arrived = math.max(0, depth - lastDepth + moved) end
redis.call('XADD', history, 'MAXLEN', '~', most, '*', 'depth', depth, 'dead', redis.call('LLEN', dead),
  'target', redis.call('LLEN', target), 'arrived', arrived, 'counted', counted)
redis.call('PEXPIRE', history, keepMs)
return { depth, picked, hasJob and 1 or 0 }
