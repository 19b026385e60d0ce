-- An include: a script's line `-- include whole.lua` stands for this file (src/redis/scripts.ts).
-- What should be a whole number, as text: what is not 1 to 15 digits reads as 0, here as in parseCycleState (src/cycle/cycle_state.ts).
-- Whatever stands in the record, the next write repairs it.
local function whole(text) return text and #text <= 15 and text:match('^%d+$') or '0' end
