-- ARGV: group, level, id, due; without a due the signal keeps its own. Answers when to look again.
local level = tonumber(ARGV[2])
local signal = take_back(level, ARGV[3])
if signal then enqueue(signal.scan, level, ARGV[4] or signal.due, signal.trace) end
offer_all()
return next_due()
