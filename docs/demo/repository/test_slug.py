import unittest

from slug import slug


class SlugTest(unittest.TestCase):
    def test_punctuation_leaves_no_double_dash(self):
        self.assertEqual(slug("Hello, World!"), "hello-world")

    def test_a_plain_title_stays_readable(self):
        self.assertEqual(slug("Release notes"), "release-notes")
