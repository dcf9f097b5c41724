-- ARGV: group, maximum passes, then level and id of each entry that a blocking read returned,
-- highest level first. Chooses one and puts the others back into the delay queues. Returns the time
-- until the next due signal, and the index of the chosen entry.
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
