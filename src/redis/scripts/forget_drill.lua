-- Frees the gate and the jobs of a source from a drill whose hash is lost: it was evicted, a person deleted it, or it has expired because no
-- instance ran. What was decided on before is refused as stale.
-- KEYS  1 state (hash)  2 drill (hash)
-- ARGV  1 token of the leader lease (empty: not checked)
-- Returns {'ok', id} (empty: no drill is lost) | 'not_leader' | 'wrong_type'. Only an id means that something has changed. Bound: O(1).
local state, drill = KEYS[1], KEYS[2]
local token = ARGV[1]
-- include whole.lua

for _, key in ipairs({ state, drill }) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= 'hash' then return 'wrong_type' end
end
local record = redis.call('HMGET', state, 'leader', 'drill', 'seq')
if token ~= '' and record[1] ~= token then return 'not_leader' end
if (record[2] or '') == '' or redis.call('HGET', drill, 'id') then return { 'ok', '' } end
redis.call('HSET', state, 'seq', tonumber(whole(record[3])) + 1, 'drill', '', 'drillMoves', '')
return { 'ok', record[2]:match('^%S*') }
