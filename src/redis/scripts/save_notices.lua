-- Writes fields of the notices, and appends incidents to their journal, if the caller holds the lease of the notices and was the last
-- to enter: who has lost the lease for a moment must read what another instance wrote meanwhile.
-- KEYS  1 notices (hash)  2 journal of incidents (stream)  3 its head (string)
-- ARGV  1 token  2 1: enter, else 0  3 most entries that the journal keeps, about  4 number of fields
--       5.. field, value, …, then the entries
-- Returns 'ok' | 'not_ours' | 'wrong_type', or the error of XADD; then nothing has changed. Bound: the given fields and entries.
local notices, journal, head = KEYS[1], KEYS[2], KEYS[3]
local token, isEntering, most, fields = ARGV[1], ARGV[2] == '1', ARGV[3], tonumber(ARGV[4])
-- include whole.lua
-- include append_entry.lua

for _, expected in ipairs({ { notices, 'hash' }, { journal, 'stream' }, { head, 'string' } }) do
  local kind = redis.call('TYPE', expected[1]).ok
  if kind ~= 'none' and kind ~= expected[2] then return 'wrong_type' end
end
local lease = redis.call('HMGET', notices, 'leader', 'leaderUntilMs', 'writer')
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
if lease[1] ~= token or tonumber(whole(lease[2])) <= nowMs then return 'not_ours' end
if lease[3] ~= token and not isEntering then return 'not_ours' end

local first = 5 + 2 * fields
local last = redis.call('GET', head)
if ARGV[first] then
  -- Changes nothing, but fails on out-of-memory, read-only and missing permissions before anything is written.
  redis.call('SET', head, last or '')
end
for i = first, #ARGV do
  local now, failure = appendEntry(journal, last, most, ARGV[i])
  if failure then
    if i > first then redis.call('SET', head, last) end
    return failure
  end
  last = now
end
if ARGV[first] then redis.call('SET', head, last) end
for i = 5, first - 1, 2 do redis.call('HSET', notices, ARGV[i], ARGV[i + 1]) end
if isEntering then redis.call('HSET', notices, 'writer', token) end
return 'ok'
