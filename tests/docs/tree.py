"""What the sources and the documents say: names of log events, Event reasons, metrics and alerts; tables, words and headings of Markdown."""
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "tests").rglob("*.md"))]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


# ---- C ----

def product_sources():
    return {path: path.read_text(encoding="utf-8") for folder in ("base", "mirror", "health", "agent") for path in sorted((ROOT / folder).rglob("*.[ch]"))}


def other_sources():
    """Of tests and of what is deployed, each with its name before its text; not of these tests."""
    kinds = (".py", ".c", ".h", ".yaml", ".json", ".txt")
    return [path.stem + "\n" + path.read_text(encoding="utf-8") for folder in ("tests", "deploy") for path in sorted((ROOT / folder).rglob("*"))
            if path.suffix in kinds and path.is_file() and path.parent != pathlib.Path(__file__).parent]


def arguments(text, begin):
    """The arguments of the call whose opening parenthesis is just before `begin`."""
    found, depth, at, start = [], 1, begin, begin
    while depth:
        char = text[at]
        if char in "\"'":
            quote, at = char, at + 1
            while text[at] != quote:
                at += 2 if text[at] == "\\" else 1
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        if (char == "," and depth == 1) or depth == 0:
            found.append(text[start:at])
            start = at + 1
        at += 1
    return found


def calls(pattern, folders=("agent",)):
    """(name, arguments) of every call in these folders' sources of a function whose whole name matches."""
    for path, text in product_sources().items():
        if path.suffix == ".c" and path.relative_to(ROOT).parts[0] in folders:
            for match in re.finditer(rf"\b({pattern})\(", text):
                yield match.group(1), arguments(text, match.end())


def literals(text, shape):
    return set(re.findall(rf'"({shape})"', text))


SNAKE, CAMEL = r"[a-z]+(?:_[a-z0-9]+)*", r"(?:[A-Z][a-z0-9]+){2,}"


def log_events(least_level=None):
    """Names of log events; with "warn" only those of lines that are warnings or errors, as far as the call itself says so."""
    which = {"log_debug": 0, "log_info": 0, "log_warn": 0, "log_error": 0, "log_event": 1, "log_reason": 3}
    found = set()
    for name, given in calls("|".join(which)):
        level = given[2] if name == "log_reason" else given[0] if name == "log_event" else name.upper()
        if len(given) > which[name] and (least_level is None or "WARN" in level or "ERROR" in level):
            found |= literals(given[which[name]], SNAKE)
    # expiry.c has its texts in a table.
    return found | literals(re.search(r"\btexts\[\] = \{.*?\};", read("agent/control/expiry.c"), re.S).group(0), r"credentials_[a-z]+")


def event_reasons():
    """Every reason that is written where an Event is made. One that comes in a variable is not found here."""
    return {reason for _, given in calls(r"\w*emit\w*") for argument in given for reason in literals(argument, CAMEL)} - {"Mirror", "Renew"}


def metrics():
    return set(re.findall(r"^\| `(\w+)` \|", read("docs/metrics.md"), re.M))


def alerts():
    return set(re.findall(r"- alert: (\w+)\n", read("deploy/monitoring/prometheusrule.yaml")))


# ---- Markdown ----

def without_code(text):
    """Blocks that are fenced or indented by four, and what is between backticks, are no Markdown."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.sub(r"^(?:    .*\n)+", "", re.sub(r"`[^`\n]*`", "``", text), flags=re.M)


def words(text):
    """What is between backticks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def cells(row):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def tables(text):
    """Each table as a list of rows, {heading: cell}."""
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.M):
        lines = block.splitlines()
        if len(lines) > 2 and re.fullmatch(r"[|\s:-]+", lines[1]):
            yield [dict(zip(cells(lines[0]), cells(line))) for line in lines[2:]]


def anchors(text):
    """As GitHub makes them of headings."""
    found, seen = set(), {}
    for title in re.findall(r"^#{1,6} +(.*?) *#*$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        found.add(slug if count == 0 else f"{slug}-{count}")
    return found
