import unittest

from compare.by_hand import calls, evaluate


class ByHand(unittest.TestCase):
    def test_calls_are_judged_by_the_scanners_log(self):
        log = "start 1 100 3000000\nfinish 1 100 4000000\nstart 2 101 9000000\n"
        text = evaluate(log, calls("1 1000000\n2 5000000\n3 9000000\n"))
        self.assertEqual(
            text,
            "3 calls, 2 never finished, 0 ran to the end twice\n"
            "call to first instruction: median 3.0 ms, p99 4.0 ms, 2.0 to 4.0 ms",
        )

    def test_without_any_start_there_is_no_latency(self):
        self.assertEqual(evaluate("", {1: 5}), "1 calls, 1 never finished, 0 ran to the end twice")

    def test_job_that_is_called_twice_is_an_error(self):
        with self.assertRaises(ValueError):
            calls("1 5\n1 6\n")


if __name__ == "__main__":
    unittest.main()
