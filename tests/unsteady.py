#!/usr/bin/env python3
"""Tests that failed once: which ones, and what became of them the second time. Reads and rewrites JUnit files of pytest and ctest.

    unsteady.py failed FIRST         prints the tests that failed, one a line, as their runner takes them
    unsteady.py output FIRST         prints what these wrote
    unsteady.py merge FIRST SECOND   counts those as passed that passed in SECOND; ends with 1 when some failed again
"""
import sys
import xml.etree.ElementTree as tree

BAD = ("failure", "error")


def id_of(case):
    file, name = case.get("file"), case.get("name")
    return name if file is None else f"{file}::{name}"


def is_bad(case):
    return any(case.find(tag) is not None for tag in BAD)


def failed(first):
    return list(dict.fromkeys(id_of(case) for case in first.iter("testcase") if is_bad(case)))


def merge(first, second):
    """Takes the marks of failure off what passed in `second`. Returns the ids of these, and of those that failed again."""
    passed = {id_of(case) for case in second.iter("testcase")} - set(failed(second))
    steady, unsteady = set(), set()
    for case in first.iter("testcase"):
        if not is_bad(case):
            continue
        if id_of(case) not in passed:
            steady.add(id_of(case))
            continue
        unsteady.add(id_of(case))
        for tag in BAD:
            for mark in case.findall(tag):
                case.remove(mark)
    return sorted(unsteady), sorted(steady)


def main(command, first_file, second_file=None):
    document = tree.parse(first_file)
    if command == "output":
        for case in filter(is_bad, document.iter("testcase")):
            print(f"== {id_of(case)}", *(part.text for part in case.iter("system-out")), sep="\n")
        return 0
    if command == "failed":
        for name in failed(document.getroot()):
            print(name)
        return 0
    unsteady, steady = merge(document.getroot(), tree.parse(second_file).getroot())
    document.write(first_file)
    for name in unsteady:
        print(f"unsteady, passed the second time: {name}")
    for name in steady:
        print(f"failed twice: {name}")
    return 1 if steady else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
