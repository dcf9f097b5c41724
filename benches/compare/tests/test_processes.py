import os
import unittest

from compare.processes import fresh_switches, is_alive, program, switches, tree


class Processes(unittest.TestCase):
    def test_fresh_switches_count_new_threads_from_zero_and_leave_out_ended_ones(self):
        before = {(1, 1): 10, (1, 2): 100}
        self.assertEqual(fresh_switches(before, {(1, 1): 13, (1, 3): 4}), 7)
        self.assertEqual(fresh_switches({}, {}), 0)

    def test_own_process_is_in_its_tree_alive_and_has_switches(self):
        own = os.getpid()
        self.assertTrue(is_alive(own))
        self.assertIn(own, tree([own]))
        self.assertEqual(tree([own], without=program(own)), [])
        self.assertTrue(any(pid == own for pid, _ in switches([own])))


if __name__ == "__main__":
    unittest.main()
