-- Refreshes the line of an instance among those that run, or removes it, and drops the lines of instances that have gone.
-- KEYS  1 replicas (string, expires): lines "<seenMs> <token> <entry>"
-- ARGV  1 token of the instance (no blanks)  2 its entry, without line breaks ('': remove it)  3 keepMs: older lines are dropped
--       4 most lines  5 most bytes of the value; a longer one was not written by this script and is replaced
-- Returns 'ok' | 'wrong_type'; then nothing has changed. Bound: that many lines and bytes.
local replicas = KEYS[1]
local token, entry, keepMs, most, mostBytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local kind = redis.call('TYPE', replicas).ok
if kind ~= 'none' and kind ~= 'string' then return 'wrong_type' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('GETRANGE', replicas, 0, mostBytes)
local lines = {}
if entry ~= '' then lines[1] = string.format('%.0f', nowMs) .. ' ' .. token .. ' ' .. entry end
for line in (#known <= mostBytes and known or ''):gmatch('[^\n]+') do
  local seenMs, owner = line:match('^(%d+) (%S+) ')
  local ageMs = seenMs and nowMs - tonumber(seenMs)
  if ageMs and ageMs >= 0 and ageMs <= keepMs and owner ~= token and #lines < most then lines[#lines + 1] = line end
end
redis.call('SET', replicas, table.concat(lines, '\n'), 'PX', #lines > 0 and keepMs or 1)
return 'ok'
