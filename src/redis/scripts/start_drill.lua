-- Starts a drill: from now on one gate of the source is held. What was decided on before is refused as stale. Any instance may call it.
-- KEYS  1 state (hash)  2 drill (hash)  3 list (of the messages that drills move)
-- ARGV  1 id  2 target  3 gate  4 milliseconds to hold the gate  5 milliseconds after that until the drill gives up
--       6 milliseconds until the list expires  7 its first element, so that it exists, and expires, before a message is in it
--       8 milliseconds until the hash expires  9.. fields of the drill: name, value, …
-- Returns {'ok', nowMs}, or 'busy' (another drill runs, or is being cleaned up) | 'job' (a job runs) | 'wrong_type'. Only 'ok' changes
-- anything. Bound: what an earlier drill has left in the list is freed, at most 10,000 small messages, as a rule none.
local state, drill, list = KEYS[1], KEYS[2], KEYS[3]
local id, target, gate, holdMs, healMs = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local listMs, first, keepMs = ARGV[6], ARGV[7], ARGV[8]
-- include whole.lua

for _, expected in ipairs({ { state, 'hash' }, { drill, 'hash' }, { list, 'list' } }) do
  local kind = redis.call('TYPE', expected[1]).ok
  if kind ~= 'none' and kind ~= expected[2] then return 'wrong_type' end
end
local record = redis.call('HMGET', state, 'seq', 'job')
-- Not the state's field: a drill whose hash is lost has ended.
if redis.call('HGET', drill, 'id') then return 'busy' end
if (record[2] or '') ~= '' then return 'job' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local untilMs = nowMs + holdMs

redis.call('PEXPIRE', list, 0)
redis.call('LPUSH', list, first)
redis.call('PEXPIRE', list, listMs)
redis.call('HSET', drill, 'id', id, 'phase', 'holding', 'target', target, 'gate', gate, 'startedAtMs', nowMs, 'heldUntilMs', untilMs,
  'healUntilMs', untilMs + healMs, 'seeded', 0, unpack(ARGV, 9))
redis.call('PEXPIRE', drill, keepMs)
redis.call('HSET', state, 'seq', tonumber(whole(record[1])) + 1, 'drill', string.format('%s %s %s %d', id, target, gate, untilMs),
  'drillMoves', '')
return { 'ok', nowMs }
