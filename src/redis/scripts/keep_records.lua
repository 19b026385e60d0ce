-- An include, put before the script of a commit of a source that records its stamps beside the messages: what becomes of these.
-- KEYS, ARGV  as in commit_checks.lua; behind the fields of the state:
-- ARGV  1 changes: a line "key stamp" for each record to write, "key " for each to delete  2 most records  3 seconds that a record is kept
-- include drop_records.lua
local recordArguments = 12 + 2 * (tonumber(ARGV[11]) or 0)
local changes, mostRecords, keepSeconds =
  ARGV[recordArguments + 1], tonumber(ARGV[recordArguments + 2]), tonumber(ARGV[recordArguments + 3])
local AT_ONCE = 1000

-- Whether the arguments are valid.
local function areRecordsValid() return changes and mostRecords and keepSeconds end

-- Makes every call that keepRecords makes and the checks before do not, so that a missing permission shows before any message moves.
-- Changes no record. Call it after tryWrites: LTRIM must be allowed.
local function tryRecords(records, order)
  countKeys(order)
  redis.call('HDEL', records, '')
  redis.call('LPUSH', order, '')
  redis.call('LTRIM', order, 1, -1)
  expireRecords(records, order, redis.call('HLEN', records), keepSeconds)
end

local function inParts(command, key, values)
  for i = 1, #values, AT_ONCE do redis.call(command, key, unpack(values, i, math.min(i + AT_ONCE - 1, #values))) end
end

-- Returns how many records were deleted before their time, and how many there are. Bound: twice the messages of the commit, and the
-- records of another one.
local function keepRecords(records, order, nowMs)
  local second = math.floor(nowMs / 1000)
  local suffix = string.format(':%.0f', second)
  local values, keys, gone = {}, {}, {}
  for key, stamp in changes:gmatch('(%x+) (%S*)\n') do
    if stamp == '' then
      gone[#gone + 1] = key
    else
      keys[#keys + 1] = key
      values[2 * #keys - 1], values[2 * #keys] = key, stamp .. suffix
    end
  end
  inParts('HSET', records, values)
  inParts('HDEL', records, gone)
  if #keys > 0 then
    redis.call('LPUSH', order, string.format('%.0f%s:%s', countKeys(order), suffix, table.concat(keys)))
  end
  local _, evicted, kept = dropRecords(records, order, mostRecords, second - keepSeconds, 2 * #keys + 10)
  expireRecords(records, order, kept, keepSeconds)
  return evicted, kept
end
