-- Finishes the move of the oldest messages of a DLQ. The transaction around this script watches the DLQ since they were read.
-- Before this script it has pushed all of them with LPUSH, which costs Redis a fifth of a push by a script.
-- KEYS, ARGV  as in commit_checks.lua
-- Returns as recordCommit, or as commit_moves.lua why not; then the pushed messages are taken back. Bound: O(1) beside these.
-- include whole.lua
-- include append_entry.lua
-- include commit_checks.lua

local pushes, failure, hasMoved = {}, nil, false
-- Finds out whether the LPUSH before this script has succeeded: nothing has changed since, so one more shows it.
local function findPush(list, messages)
  if messages < 1 then return end
  local reply = redis.pcall('LPUSH', list, '')
  if type(reply) == 'table' and reply.err then
    failure = reply
  else
    redis.call('LTRIM', list, 1, -1)
    pushes[#pushes + 1] = { list, messages }
  end
end

local function finish()
  local refusal = findRefusal()
  if refusal then return refusal end
  if failure then return failure end
  if #ARGV ~= before then return 'invalid' end
  if redis.call('LLEN', dlq) < count then return 'conflict' end
  if room >= 0 and replays > 0 and redis.call('LLEN', target) > room then return 'room' end
  tryWrites(dlq)
  if records then tryRecords(records, order) end
  hasMoved = true
  redis.call('LTRIM', dlq, 0, -(count + 1))
  return recordCommit(0)
end

findPush(target, replays or 0)
findPush(dead, (count or 0) - (replays or 0))
local isWhole, answer = pcall(finish)
if not isWhole and type(answer) ~= 'table' then answer = redis.error_reply(answer) end
if not hasMoved then
  for _, push in ipairs(pushes) do redis.call('LTRIM', push[1], push[2], -1) end
end
return answer
