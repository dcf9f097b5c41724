-- ARGV: group, most passes, then level and id of each entry that a blocked read brought, highest level first. Chooses one and puts the others back in line: when to look again, and the
-- place of the chosen one.
local brought, levels = {}, {}
for i = 3, #ARGV - 1, 2 do
    levels[#levels + 1] = tonumber(ARGV[i])
    brought[#levels] = ARGV[i + 1]
end
local chosen = pick(levels, tonumber(ARGV[2]))
local place = 1
for i, level in ipairs(levels) do
    if level == chosen then
        place = i
    else
        local signal = take_back(level, brought[i])
        if signal then enqueue(signal.scan, level, signal.due, signal.trace) end
    end
end
offer_all()
count_passes(ready_levels(chosen), chosen)
return { next_due(), place }
