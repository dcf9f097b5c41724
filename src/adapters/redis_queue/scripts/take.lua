-- ARGV: group, consumer, most passes. Gives the consumer the next signal that is due: when to look again, and then, if there is one, its level and its entry.
offer_all()
local ready = ready_levels()
if #ready == 0 then return { next_due() } end
local level = pick(ready, tonumber(ARGV[3]))
count_passes(ready, level)
local entry = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[level], '>')[1][2][1]
offer(level)
return { next_due(), level, entry }
