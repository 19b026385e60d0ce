-- The same verdict inside Redis, for comparison only: it decodes every message there, and its edits fit plain messages only.
-- KEYS  1 dlq  2 target  3 dead
-- ARGV  1 most messages  2 failures that make a message poison  3 failed_at
-- Returns how many were moved. Bound: ARGV[1].
local dlq, target, dead = KEYS[1], KEYS[2], KEYS[3]
local most, limit, failedAt = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local RECORD = ', "_remediation": {"failures": 0, "evidence": 0, "since": 1764000000, "cycle": 1, "source": "alerter"'

local batch, replays, deaths = redis.call('LRANGE', dlq, -most, -1), {}, {}
for i = #batch, 1, -1 do
  local text = batch[i]
  local ok, message = pcall(cjson.decode, text)
  local complete = ok and type(message) == 'table' and message.hostname and message.timestamp and message.message
  if complete and (tonumber(message._moog_retry_count) or 0) < limit then
    replays[#replays + 1] = text:gsub(', "_retry_count": %d+', ''):sub(1, -2) .. RECORD .. '}}'
  else
    deaths[#deaths + 1] = text:sub(1, -2) .. RECORD .. ', "reason": "poison"}, "failed_at": "' .. failedAt .. '"}'
  end
end
if #replays > 0 then redis.call('LPUSH', target, unpack(replays)) end
if #deaths > 0 then redis.call('LPUSH', dead, unpack(deaths)) end
redis.call('LTRIM', dlq, 0, -(#batch + 1))
return #batch
