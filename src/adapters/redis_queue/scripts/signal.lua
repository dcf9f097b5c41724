-- ARGV: group, scan, level, due, wait, trace. Answers when to look again.
enqueue(ARGV[2], tonumber(ARGV[3]), place(ARGV[4], ARGV[5]), ARGV[6])
offer_all()
return next_due()
