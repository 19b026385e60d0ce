-- An include: this file replaces the line `-- include whole.lua` of a script (src/redis/scripts.ts).
-- Returns a whole number as text. Any text other than 1 to 15 digits reads as 0, like in parseCycleState (cycle/cycle_state.ts).
-- The next write to the state repairs invalid values.
local function whole(text) return text and #text <= 15 and text:match('^%d+$') or '0' end
