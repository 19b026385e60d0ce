-- An include, put before a script of a source whose lists are pushed to the right (RPUSH). All scripts are written for lists with the
-- newest message at the left: this turns their commands on the lists of the source round. The service's own lists stay as they are.
-- A new command on a list must be added here, or to those that have no direction (tests/unit/redis/scripts_test.ts).
local server, OWN, OTHER_SIDE = redis, 'mutt:remediation:', { LEFT = 'RIGHT', RIGHT = 'LEFT' }
local isOwn = {}
for _, key in ipairs(KEYS) do isOwn[key] = key:sub(1, #OWN) == OWN end
-- include move_message.lua

local TURNED = {
  LPUSH = function(call, key, ...) return call('RPUSH', key, ...) end,
  RPUSH = function(call, key, ...) return call('LPUSH', key, ...) end,
  LINDEX = function(call, key, index) return call('LINDEX', key, -1 - index) end,
  LSET = function(call, key, index, message) return call('LSET', key, -1 - index, message) end,
  LREM = function(call, key, count, message) return call('LREM', key, -count, message) end,
  LTRIM = function(call, key, first, last) return call('LTRIM', key, -1 - last, -1 - first) end,
  LRANGE = function(call, key, first, last)
    local found = call('LRANGE', key, -1 - last, -1 - first)
    for i = 1, math.floor(#found / 2) do found[i], found[#found + 1 - i] = found[#found + 1 - i], found[i] end
    return found
  end,
}

local function moveTurned(from, to, side, toSide)
  return moveMessage(from, to, isOwn[from] and side or OTHER_SIDE[side], isOwn[to] and toSide or OTHER_SIDE[toSide])
end

local function turn(call)
  return function(name, key, ...)
    if key == nil then return call(name) end
    if name == 'RPOPLPUSH' then return moveTurned(key, ..., 'RIGHT', 'LEFT') end
    if name == 'LMOVE' then return moveTurned(key, ...) end
    local turned = not isOwn[key] and TURNED[name]
    if turned then return turned(call, key, ...) end
    return call(name, key, ...)
  end
end

local redis = {
  call = turn(server.call), pcall = turn(server.pcall), sha1hex = server.sha1hex, error_reply = server.error_reply,
}
