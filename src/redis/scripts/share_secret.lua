-- Returns the secret that all instances share. If none is stored, stores our proposal.
-- KEYS  1 secret (string)
-- ARGV  1 our proposal
-- Returns the secret. Bound: one value.
local secret = KEYS[1]
local proposal = ARGV[1]
local stored = redis.call('GET', secret)
if stored then return stored end
redis.call('SET', secret, proposal)
return proposal
