-- Changes a key and leaves nothing of it, so that whoever watches it sees the change.
-- KEYS  1 key (string, or not there)
-- Returns 'ok'. Bound: one key.
redis.call('SET', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 0)
return 'ok'
