-- ARGV: group, scan, level, due, wait, trace. Returns the time until the next due signal.
enqueue(ARGV[2], tonumber(ARGV[3]), place(ARGV[4], ARGV[5]), ARGV[6])
offer_all()
return next_due()
