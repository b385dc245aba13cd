"""Helpers of the tests: a .tflite writer, tables of cases, strategies, and runners for generated C."""
