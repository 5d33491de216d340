import unittest

from app import answer


class AnswerTest(unittest.TestCase):
    def test_greets(self):
        self.assertEqual(answer("/"), (200, "Hello from Python!\n"))

    def test_knows_what_it_has(self):
        self.assertEqual(answer("/nothing")[0], 404)
