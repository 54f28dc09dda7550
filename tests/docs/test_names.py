"""Names in the documents exist, and what can happen is in docs/failures.md."""
import re
import unittest

import tree

FAILURES = "docs/failures.md"


def named(heading):
    """The words of all cells of docs/failures.md under that heading."""
    return {word for table in tree.tables(tree.read(FAILURES)) for row in table for word in tree.words(row.get(heading, ""))}


class Names(unittest.TestCase):
    def test_metrics_exist(self):
        known = tree.metrics()
        self.assertGreater(len(known), 40)
        kinds = re.compile(r"^(svcmirror|process|service_mirror)_\w+$")
        for path in tree.DOCUMENTS:
            said = {re.sub(r"[{=].*", "", word) for word in tree.words(path.read_text(encoding="utf-8"))}
            asked = {word for word in said if kinds.match(word)}
            self.assertLessEqual(asked, known, path.name)
        self.assertLessEqual(named("Metric") - {"list"}, known)

    def test_alerts_exist(self):
        for path in tree.DOCUMENTS:
            self.assertLessEqual(set(re.findall(r"\bSvcmirror[A-Z]\w+", path.read_text(encoding="utf-8"))), tree.alerts(), path.name)

    def test_log_events_and_reasons_exist(self):
        camel = {word for text in tree.product_sources().values() for word in tree.literals(text, tree.CAMEL)}
        said = named("Log, Event")
        self.assertGreater(len(said), 60)
        self.assertLessEqual({word for word in said if word[0].islower()}, tree.log_events())
        self.assertLessEqual({word for word in said if word[0].isupper()} | named("Reason"), camel)

    def test_words_of_the_product_exist(self):
        """Whatever looks like a name, in any document: snake_case, or words joined in CamelCase. Of tests a part of the name will do."""
        everything = "\n".join([*tree.product_sources().values(), *tree.other_sources(), *tree.metrics()])
        for path in tree.DOCUMENTS:
            said = set(tree.words(path.read_text(encoding="utf-8")))
            asked = {word for word in said if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", word) or re.fullmatch(tree.CAMEL, word)}
            self.assertEqual({word for word in asked if word not in everything}, set(), path.name)


class Complete(unittest.TestCase):
    def test_every_warning_is_there(self):
        warnings = tree.log_events("warn")
        self.assertGreater(len(warnings), 35)
        self.assertLessEqual(warnings, named("Log, Event"))

    def test_every_reason_is_there(self):
        reasons = tree.event_reasons()
        self.assertGreater(len(reasons), 15)
        self.assertLessEqual(reasons, named("Reason"))
        # Each is found both by what breaks and in the list of all.
        self.assertEqual({word for word in named("Log, Event") if word[0].isupper()}, named("Reason"))

    def test_every_alert_is_there(self):
        self.assertEqual(named("Alert"), tree.alerts())


if __name__ == "__main__":
    unittest.main()
