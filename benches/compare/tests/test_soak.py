"""The judgement of the soak test."""

import unittest

from compare.soak import Counts, Sample, faults_of, growth


def samples(memory: list[float], descriptors: int = 100) -> list[Sample]:
    return [Sample(5.0 * at, value, descriptors, 20, at * 250) for at, value in enumerate(memory)]


class Judgement(unittest.TestCase):
    def good(self) -> Counts:
        return Counts(accepted=5, distinct=5, rows={"pending": 0, "running": 0, "completed": 4, "failed": 1})

    def test_exact_counts_and_flat_memory_pass(self):
        self.assertEqual(faults_of(self.good(), samples([50.0] * 5 + [100.0] * 45)), [])

    def test_each_fault_is_named(self):
        flat = samples([100.0] * 50)
        for change, word in [
            ({"distinct": 4}, "have 4 numbers"),
            ({"rows": {"pending": 1, "completed": 4}}, "1 scans did not end"),
            ({"rows": {"completed": 4}}, "the store has 4"),
            ({"rows": {"completed": 6}}, "the store has 6"),
            ({"overlapped": 2}, "two scanners"),
            ({"left_running": 1}, "still run"),
        ]:
            counts = self.good()
            for name, value in change.items():
                setattr(counts, name, value)
            wrong = faults_of(counts, flat)
            self.assertEqual(len(wrong), 1, wrong)
            self.assertIn(word, wrong[0])

    def test_growth_of_memory_and_descriptors_fails(self):
        rising = samples([100.0 + at for at in range(50)])
        self.assertEqual(growth(rising), (114.5, 144.5))
        self.assertIn("the memory grew", faults_of(self.good(), rising)[0])
        leak = samples([100.0] * 25, 100) + samples([100.0] * 25, 200)
        self.assertIn("the descriptors grew", faults_of(self.good(), leak)[0])

    def test_too_few_samples_are_no_judgement(self):
        self.assertIn("too short", faults_of(self.good(), samples([1.0] * 9))[0])


if __name__ == "__main__":
    unittest.main()
