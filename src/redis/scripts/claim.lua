-- An include: which job works on a list, which several sources may share: its id and the state of its source. Needs these locals:
-- claim (string), state (hash).
local function formatClaim(job)
  return job .. ' ' .. state
end

-- Whether a job of another source works on the list. A claim of this source without a running job is a leftover of a lost state and does not count.
local function isClaimedByOther()
  local found = redis.call('GET', claim)
  return found and found:sub(-#state - 1) ~= formatClaim('')
end
