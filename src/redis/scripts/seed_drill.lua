-- Pushes synthetic messages of a drill to the newest end of the DLQ, as a consumer would that fails. A chunk names how many came before it,
-- so it may be sent again.
-- KEYS  1 state (hash)  2 drill (hash)  3 dlq (list)
-- ARGV  1 id  2 token of the leader lease (empty: not checked)  3 messages pushed before  4.. messages, oldest first
-- Returns 'ok' | 'gone' (another drill, or none) | 'not_leader' | 'stale' (the drill goes no further, or another chunk was next) |
-- 'wrong_type'. Only 'ok' changes anything. Bound: the messages.
local state, drill, dlq = KEYS[1], KEYS[2], KEYS[3]
local id, token, offset = ARGV[1], ARGV[2], ARGV[3]
-- include drill_checks.lua

local refusal = findDrillRefusal({ holding = true, healing = true }, { { dlq, 'list' } })
if refusal then return refusal end
if redis.call('HGET', drill, 'seeded') ~= offset then return 'stale' end
-- Changes nothing, but fails on out-of-memory and missing permissions before a message is pushed.
redis.call('HSET', drill, 'seeded', offset)
redis.call('LPUSH', dlq, unpack(ARGV, 4))
redis.call('HSET', drill, 'seeded', tonumber(offset) + #ARGV - 3)
return 'ok'
