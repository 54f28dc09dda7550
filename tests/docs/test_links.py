"""Every link in a document leads somewhere: files are there, and headings too."""
import re
import unittest

import tree


def links(text):
    """Targets of [text](target) and of HTML's src, srcset and href."""
    text = tree.without_code(text)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"""(?:src|srcset|href)="([^"\s]+)""", text)


class Links(unittest.TestCase):
    def test_each_leads_somewhere(self):
        count = 0
        for path in tree.DOCUMENTS:
            for link in links(path.read_text(encoding="utf-8")):
                if re.match(r"[a-z]+:", link):
                    continue
                count += 1
                file, _, anchor = link.partition("#")
                target = (path.parent / file).resolve() if file else path
                with self.subTest(document=str(path.relative_to(tree.ROOT)), link=link):
                    self.assertTrue(target.exists(), "no such file")
                    self.assertTrue(target.is_relative_to(tree.ROOT), "leads out of the tree")
                    if anchor:
                        self.assertIn(anchor, tree.anchors(target.read_text(encoding="utf-8")), "no such heading")
        self.assertGreater(count, 100)

    def test_every_document_is_found_from_the_readme(self):
        seen, todo = set(), [tree.ROOT / "README.md"]
        while todo:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            if path.suffix == ".md":
                todo += [(path.parent / link.partition("#")[0]).resolve() for link in links(path.read_text(encoding="utf-8")) if not re.match(r"[a-z]+:|#", link)]
        found = {path for path in seen if path.is_file()} | {child for path in seen if path.is_dir() for child in path.iterdir()}
        self.assertEqual({str(path.relative_to(tree.ROOT)) for path in tree.DOCUMENTS if path not in found and "decisions" not in path.parts}, set())

    def test_what_leads_nowhere_is_noticed(self):
        """The judge itself."""
        self.assertEqual(links("[a](b.md#c) `[x](y)` <img src=\"d.png\">\n\n    [code](here)\n"), ["b.md#c", "d.png"])
        self.assertEqual(tree.anchors("# A b\n## A's `c_d`: [x](y)!\n# A b\n"), {"a-b", "as-c_d-x", "a-b-1"})


if __name__ == "__main__":
    unittest.main()
