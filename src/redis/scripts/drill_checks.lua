-- An include: what every script of a running drill checks first. Needs these locals: state and drill (hashes), keys; id (of the drill),
-- token (of the leader lease; empty: not checked).

-- Returns why nothing may change; nil if it may. `phases`: those in which it may, as keys. `kinds`: more keys, each with its type.
local function findDrillRefusal(phases, kinds)
  kinds[#kinds + 1] = { state, 'hash' }
  kinds[#kinds + 1] = { drill, 'hash' }
  for _, expected in ipairs(kinds) do
    local kind = redis.call('TYPE', expected[1]).ok
    if kind ~= 'none' and kind ~= expected[2] then return 'wrong_type' end
  end
  local found = redis.call('HMGET', drill, 'id', 'phase')
  if found[1] ~= id then return 'gone' end
  if token ~= '' and redis.call('HGET', state, 'leader') ~= token then return 'not_leader' end
  if not phases[found[2]] then return 'stale' end
  return nil
end
