import unittest
from collections import Counter

from compare.journal import (
    Event,
    Run,
    first_starts,
    interrupted,
    outcome,
    outlived,
    parse,
    processes_by_job,
    recoveries,
    runs,
)

S = 1_000_000_000


def log(*lines):
    return parse("".join(line + "\n" for line in lines))


class Journal(unittest.TestCase):
    def test_line_that_is_not_complete_yet_is_left_out(self):
        self.assertEqual(parse("start 7 100 5\nfinish 7 1"), [Event("start", 7, 100, 5)])
        self.assertEqual(parse(""), [])

    def test_odd_lines_are_errors(self):
        for text in ["begin 1 2 3\n", "start 1 2\n", "\n", "start a 2 3\n"]:
            with self.assertRaises(ValueError, msg=text):
                parse(text)

    def test_process_id_that_is_used_again_is_another_run(self):
        events = log("start 1 100 10", "finish 1 100 20", "start 2 100 30")
        self.assertEqual(runs(events), [Run(1, 100, 10, 20, False), Run(2, 100, 30, None, False)])

    def test_killed_process_whose_id_is_used_again_stays_without_an_end(self):
        events = log("start 1 100 10", "start 2 100 30", "finish 2 100 40")
        self.assertEqual(runs(events), [Run(1, 100, 10, None, False), Run(2, 100, 30, 40, False)])

    def test_finish_without_a_start_is_an_error(self):
        for lines in (["finish 1 100 20"], ["start 1 100 10", "finish 2 100 20"]):
            with self.assertRaises(ValueError):
                runs(log(*lines))

    def test_job_that_ran_once_with_one_row_is_in_no_set(self):
        found = outcome(log("start 1 100 10", "finish 1 100 20"), [1], Counter({1: 1}))
        self.assertEqual((found.unfinished, found.doubled, found.overlapped, found.repeated), (set(),) * 4)
        self.assertEqual(found.extra_rows, 0)

    def test_job_is_unfinished_without_a_process_an_end_or_a_row(self):
        events = log("start 2 100 10", "start 3 101 11", "finish 3 101 12", "start 4 102 13", "finish 4 102 14")
        found = outcome(events, [1, 2, 3, 4], Counter({4: 1}))
        self.assertEqual(found.unfinished, {1, 2, 3})

    def test_interrupted_job_that_ran_again_is_repeated_and_not_doubled(self):
        events = log("start 1 100 10", "start 1 101 30", "finish 1 101 40")
        found = outcome(events, [1], Counter({1: 1}))
        self.assertEqual((found.repeated, found.doubled, found.overlapped), ({1}, set(), set()))

    def test_orphan_that_ran_to_its_end_beside_its_successor_is_doubled_and_overlapped(self):
        events = log("start 1 100 10", "overlap 1 101 30", "finish 1 100 35", "finish 1 101 40")
        found = outcome(events, [1], Counter({1: 2}))
        self.assertEqual((found.doubled, found.overlapped, found.extra_rows), ({1}, {1}, 1))

    def test_jobs_that_were_not_accepted_do_not_count(self):
        events = log("start 9 100 10", "overlap 9 101 30", "finish 9 100 35", "finish 9 101 40")
        found = outcome(events, [], Counter({9: 2}))
        self.assertEqual((found.doubled, found.overlapped, found.extra_rows), (set(), set(), 0))

    def test_interrupted_jobs_are_those_that_ran_at_the_kill(self):
        events = log(
            "start 1 100 10", "finish 1 100 20", "start 2 101 15", "start 3 102 18", "start 4 103 60", "finish 3 102 70"
        )
        self.assertEqual(interrupted(events, 50), {2: 101, 3: 102})

    def test_process_that_ends_after_the_kill_outlived_it(self):
        events = log("start 1 100 10", "start 2 101 11", "finish 1 100 60", "start 2 100 61", "finish 2 100 70")
        self.assertEqual(outlived(events, {1: 100, 2: 101}, 50), {100})
        self.assertEqual(outlived(events, {}, 50), set())

    def test_recovery_is_the_next_start_after_the_kill(self):
        events = log(f"start 1 100 {S}", f"start 1 101 {3 * S}", f"start 1 102 {9 * S}", f"start 2 103 {S}")
        self.assertEqual(recoveries(events, [1, 2], 2 * S), {1: 1.0})

    def test_first_start_may_be_an_overlap(self):
        self.assertEqual(first_starts(log("overlap 1 100 10", "start 1 101 20", "child 1 102 30")), {1: 10})

    def test_grandchildren_belong_to_their_job(self):
        events = log("start 1 100 10", "child 1 101 11", "start 2 102 12", "finish 2 102 13")
        self.assertEqual(processes_by_job(events), {1: {100, 101}, 2: {102}})


if __name__ == "__main__":
    unittest.main()
