"""The tests, by name."""

from . import t1_latency, t2_burst, t4_kill, t5_freeze, t6_restart, t7_cancel, t8_idle, t9_history, t10_neighbour

ALL = [t1_latency, t2_burst, t4_kill, t5_freeze, t6_restart, t7_cancel, t8_idle, t9_history, t10_neighbour]
