"""Tables that can be read off the source: annotations and labels, reasons of conditions, rights."""
import re
import unittest

import tree

OWN = ("svcmirror.io/", "mirror.linkerd.io/", "multicluster.linkerd.io/")
OTHERS = {"mirror.linkerd.io/remote-kubeconfig", "svcmirror.io/mirrors"}  # a Secret's type, a finalizer


def column(document, heading):
    return [word for table in tree.tables(tree.read(document)) for row in table for word in tree.words(row.get(heading, ""))]


def rights(path):
    """{resource: verbs} of all rules of a manifest."""
    found = {}
    for resources, verbs in re.findall(r"resources: \[(.*?)\]\n  verbs: \[(.*?)\]", tree.read(path)):
        for resource in resources.split(", "):
            found.setdefault(resource, set()).update(verbs.split(", "))
    return found


def words_for(verbs):
    """As docs/security.md says them: reading is get, list and watch."""
    return ({"read"} if "list" in verbs else set()) | (verbs - {"get", "list", "watch"})


class Tables(unittest.TestCase):
    def test_annotations_and_labels(self):
        text = "\n".join(tree.product_sources().values())
        known = {name for name in re.findall(r'"([\w.-]+/[\w.-]+)[=:"]', text) if name.startswith(OWN) and not re.search(r"/v\d", name)}
        self.assertGreater(len(known), 45)
        said = column("docs/reference.md", "Label") + column("docs/reference.md", "Annotation")
        self.assertEqual({name for name in said if name.startswith(OWN)}, known - OTHERS)
        for name in said:
            self.assertIn(f'"{name}', text)
        self.assertLessEqual(OTHERS, set(tree.words(tree.read("docs/reference.md"))))

    def test_reasons_of_conditions(self):
        given = {reason for name, arguments in tree.calls(r"plan_add_status", folders=("mirror",)) for reason in tree.literals(arguments[3], r"[A-Z]\w+")}
        self.assertGreater(len(given), 5)
        said = set(column("docs/reference.md", "Reason"))
        self.assertLessEqual(given, said)
        text = "\n".join(tree.product_sources().values())
        for reason in said:
            self.assertIn(f'"{reason}"', text)

    def test_rights(self):
        """Those in the source one by one; links/status and the like stand with what they are of."""
        wanted = {}
        for resource, verbs in rights("deploy/manifests/rbac.yaml").items():
            wanted.setdefault(resource.partition("/")[0], set()).update(words_for(verbs))
        said = {}
        for table in tree.tables(tree.read("docs/security.md")):
            for row in table:
                for resource in tree.words(row.get("On", "")):
                    said.setdefault(resource, set()).update(row["May"].split(", "))
        self.assertEqual(said, wanted)
        [paragraph] = re.findall(r"^## Rights in a target\n\n(.*?)\n\n", tree.read("docs/security.md"), re.M | re.S)
        for manifest in ("target-rbac.yaml", "target-linkerd-rbac.yaml"):
            there = rights(f"deploy/manifests/{manifest}")
            self.assertLessEqual(set(there), set(tree.words(paragraph)))
            self.assertLessEqual(set().union(*there.values()), {"get", "list", "watch"}, "nothing is written there")


if __name__ == "__main__":
    unittest.main()
