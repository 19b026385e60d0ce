-- An include: what every script that moves messages checks first, and tries before it moves. Needs whole.lua, and these locals:
-- state (hash) and receipt (string: the caller's last move), keys; sequence (read before the messages), id (of this move),
-- notAfterMs (server's clock), token (of the leader lease; empty: not checked).
local RECEIPT_SECONDS = 86400
local record, nowMs

-- Returns why nothing may move; nil if only the messages may still prevent it. Changes nothing. `kinds`: more keys, each with its
-- type. Reads into `record` the fields seq and leader, and those that the caller names.
local function findMoveRefusal(kinds, ...)
  kinds[#kinds + 1] = { state, 'hash' }
  kinds[#kinds + 1] = { receipt, 'string' }
  for _, expected in ipairs(kinds) do
    local kind = redis.call('TYPE', expected[1]).ok
    if kind ~= 'none' and kind ~= expected[2] then return 'wrong_type' end
  end
  record = redis.call('HMGET', state, 'seq', 'leader', ...)
  if redis.call('GET', receipt) == id then return 'duplicate' end
  if token ~= '' and record[2] ~= token then return 'not_leader' end
  if whole(record[1]) ~= sequence then return 'stale' end
  local time = redis.call('TIME')
  nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
  if nowMs > notAfterMs then return 'expired' end
  return nil
end

-- These writes change nothing, but fail on out-of-memory, read-only and missing permissions before any message leaves `list`.
local function tryWrites(list)
  redis.call('HSET', state, 'seq', sequence)
  redis.call('SET', receipt, '', 'EX', RECEIPT_SECONDS)
  redis.call('LTRIM', list, 0, -1)
end

-- Writes the receipt, and raises the sequence number together with more fields: name, value, … Call it last.
local function recordMove(...)
  redis.call('SET', receipt, id, 'EX', RECEIPT_SECONDS)
  redis.call('HSET', state, 'seq', tonumber(sequence) + 1, ...)
end
