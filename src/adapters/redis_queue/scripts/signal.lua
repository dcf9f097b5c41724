-- ARGV: group, scan, level, due, trace. Answers when to look again.
enqueue(ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5])
offer_all()
return next_due()
