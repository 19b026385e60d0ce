-- Starts a planned job: ends the open cycle, makes every commit in flight stale, and holds automatic replay. Any instance may
-- call it.
-- KEYS  1 state (hash)  2 job (hash)  3 list that the job sweeps  4 claim (string: which job works on that list; sources may share a
--       dead list, and two sweeps at once would mix its order)  5 own (list: what an import has staged)
-- ARGV  1 id  2 name of the operator who confirmed it  3 milliseconds until the claim expires
-- Returns 'ok' | 'drill' (a drill runs on this source) | 'busy' (another job runs on this source or this list) | 'missing' (the plan, or what it has staged, has
-- expired) | 'started' (it is no longer planned) | 'wrong_type'. Only 'ok' changes anything. Bound: up to SEARCH newest messages, which stops after SEARCH_BYTES.
local state, job, list, claim, own = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, by, claimMs = ARGV[1], ARGV[2], ARGV[3]
local SEARCH, SEARCH_BYTES, STEP = 2000, 262144, 50
-- include whole.lua
-- include claim.lua

for _, expected in ipairs({ { list, 'list' }, { state, 'hash' }, { job, 'hash' }, { claim, 'string' }, { own, 'list' } }) do
  local kind = redis.call('TYPE', expected[1]).ok
  if kind ~= 'none' and kind ~= expected[2] then return 'wrong_type' end
end
local plan = redis.call('HMGET', job, 'status', 'verb', 'list', 'planned', 'depth', 'newestBytes', 'newestDigest',
  'overridden')
if not plan[1] then return 'missing' end
local record = redis.call('HMGET', state, 'seq', 'job', 'drill')
if plan[1] ~= 'planned' then return 'started' end
if plan[2] == 'import' and redis.call('LLEN', own) ~= tonumber(whole(plan[4])) then return 'missing' end
if (record[3] or '') ~= '' then return 'drill' end
if (record[2] or '') ~= '' or isClaimedByOther() then return 'busy' end

-- The place of the message that was newest at the plan, from 0 at the newest one now; nil if it is not found. It cannot be nearer than
-- the list has grown, so newer messages that are equal to it are passed over.
local function findWatermark(least)
  local length, bytes, at = tonumber(whole(plan[6])), 0, least
  while at < least + SEARCH and bytes < SEARCH_BYTES do
    local found = redis.call('LRANGE', list, at, at + STEP - 1)
    for i = 1, #found do
      if #found[i] == length and redis.sha1hex(found[i]) == plan[7] then return at + i - 1 end
      bytes = bytes + #found[i]
    end
    if #found < STEP then break end
    at = at + STEP
  end
  return nil
end

local depth, planned = redis.call('LLEN', list), tonumber(whole(plan[5]))
local after = planned > 0 and findWatermark(math.max(0, depth - planned))
local left = after and depth - after or math.min(depth, planned)
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
-- First, so that what is staged cannot expire while the job runs.
if plan[2] == 'import' then redis.call('PERSIST', own) end
redis.call('SET', claim, formatClaim(id), 'PX', claimMs)
redis.call('HSET', state, 'seq', tonumber(whole(record[1])) + 1, 'remaining', 0,
  'job', id, 'jobVerb', plan[2], 'jobBy', by, 'jobPlanned', plan[4], 'jobList', plan[3], 'jobOverrides', plan[8] or '',
  'jobPhase', left > 0 and 'sweep' or 'restore',
  'jobPaused', 0, 'jobCancelled', 0, 'jobLeft', left, 'jobSwept', 0, 'jobPicked', 0, 'jobReplayed', 0, 'jobDead', 0,
  'jobReturned', 0, 'standing', '')
redis.call('HSET', job, 'status', 'running', 'startedBy', by, 'startedAtMs', nowMs)
redis.call('PERSIST', job)
return 'ok'
