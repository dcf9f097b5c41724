-- ARGV: group, level, id, wait. Returns the time until the next due signal.
local level = tonumber(ARGV[2])
local signal = take_back(level, ARGV[3])
if signal then enqueue(signal.scan, level, place(signal.due, ARGV[4]), signal.trace) end
offer_all()
return next_due()
