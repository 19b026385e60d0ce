-- Ends a drill: its messages are gone, and its report is kept.
-- KEYS  1 state (hash)  2 drill (hash)  3 list (of the messages that drills move)  4 reports (list)
-- ARGV  1 id  2 token of the leader lease (empty: not checked)  3 report  4 most reports to keep  5 milliseconds until they expire
-- Returns 'ok' | 'gone' (another drill, or none) | 'not_leader' | 'stale' (it is not being cleaned up) | 'wrong_type'. Only 'ok' changes
-- anything. Bound: the list is freed, at most 10,000 small messages.
local state, drill, list, reports = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, token, report, most, keepMs = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
-- include drill_checks.lua

local refusal = findDrillRefusal({ cleaning = true }, { { list, 'list' }, { reports, 'list' } })
if refusal then return refusal end
redis.call('LPUSH', reports, report)
redis.call('LTRIM', reports, 0, most - 1)
redis.call('PEXPIRE', reports, keepMs)
redis.call('PEXPIRE', list, 0)
redis.call('PEXPIRE', drill, 0)
return 'ok'
