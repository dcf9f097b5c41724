import unittest

from compare.statistics import Summary, median, percentile, summarize


class Statistics(unittest.TestCase):
    def test_median_is_the_middle_or_the_mean_of_the_two_middles(self):
        for samples, wanted in [([3], 3), ([5, 1, 3], 3), ([4, 1, 3, 2], 2.5), ([1, 1, 9, 9], 5)]:
            self.assertEqual(median(samples), wanted, samples)

    def test_percentile_is_a_sample_that_the_share_does_not_exceed(self):
        hundred = list(range(100, 0, -1))
        for share, wanted in [(0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1, 100)]:
            self.assertEqual(percentile(hundred, share), wanted, share)
        self.assertEqual(percentile([7], 0.5), 7)

    def test_percentile_refuses_odd_shares_and_no_samples(self):
        for samples, share in [([1], 0), ([1], 1.1), ([], 0.5)]:
            with self.assertRaises(ValueError):
                percentile(samples, share)
        with self.assertRaises(ValueError):
            median([])

    def test_summary_has_the_range(self):
        self.assertEqual(summarize([4, 2, 8]), Summary(count=3, median=4, p99=8, least=2, most=8))
        self.assertIsNone(summarize([]))


if __name__ == "__main__":
    unittest.main()
