-- Moves a drill to its next phase, or notes something about it. When it is cleaned up, the gate is free at once, and what was decided on
-- before is refused as stale: none of its messages can reach the target any more.
-- KEYS  1 state (hash)  2 drill (hash)
-- ARGV  1 id  2 token of the leader lease (empty: not checked)  3 phases in which this may happen, "holding,healing"
--       4 next phase (empty: the same)  5.. fields of the drill: name, value, …
-- Returns 'ok' | 'gone' (another drill, or none) | 'not_leader' | 'stale' (it is in another phase) | 'wrong_type'. Only 'ok' changes
-- anything. Bound: O(fields).
local state, drill = KEYS[1], KEYS[2]
local id, token, from, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
-- include whole.lua
-- include drill_checks.lua

local phases = {}
for phase in from:gmatch('%a+') do phases[phase] = true end
local refusal = findDrillRefusal(phases, {})
if refusal then return refusal end
if #ARGV > 4 then redis.call('HSET', drill, unpack(ARGV, 5)) end
if to == 'cleaning' then
  local record = redis.call('HMGET', state, 'seq', 'drill', 'drillMoves')
  -- The state may have been lost, and belong to nothing now.
  if (record[2] or ''):match('^%S*') == id then
    redis.call('HSET', drill, 'moves', record[3] or '')
    redis.call('HSET', state, 'seq', tonumber(whole(record[1])) + 1, 'drill', '', 'drillMoves', '')
  end
end
if to ~= '' then redis.call('HSET', drill, 'phase', to) end
return 'ok'
