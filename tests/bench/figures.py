"""Figures, what they may be, and how they are shown and kept."""
import dataclasses
import json
import statistics
import tomllib


@dataclasses.dataclass
class Figure:
    """One measured quantity, of several trials where it has more than one value; all in `unit`. `floor`: what the same work costs a client that does
    nothing else, measured in the same run, likewise. `key` is its name in budgets.toml."""
    key: str
    what: str
    unit: str
    values: list
    floors: list = dataclasses.field(default_factory=list)
    note: str = ""

    @property
    def value(self):
        return statistics.median(self.values)

    @property
    def floor(self):
        return statistics.median(self.floors) if self.floors else None

    @property
    def ratio(self):
        return self.value / self.floor if self.floor else None

    def judge(self, budget):
        """What of the budget is broken, in words; None: nothing, or there is no budget."""
        broken = []
        if "max" in budget and self.value > budget["max"]:
            broken.append(f"{self.value:.4g} {self.unit} is more than {budget['max']:g}")
        if "max_ratio" in budget and self.ratio is not None and self.ratio > budget["max_ratio"]:
            broken.append(f"{self.ratio:.2f} x the floor is more than {budget['max_ratio']:g} x")
        if "max_over_floor" in budget and self.floors and self.value - self.floor > budget["max_over_floor"]:
            broken.append(f"{self.value - self.floor:.4g} {self.unit} over the floor is more than {budget['max_over_floor']:g}")
        return "; ".join(broken) or None


def number(value):
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(figures, budgets):
    """Lines of text, a figure each."""
    rows = [("FIGURE", "VALUE", "SPREAD", "FLOOR", "RATIO", "BUDGET", "", "NOTE")]
    for figure in figures:
        budget = budgets.get(figure.key, {})
        spread = f"{number(min(figure.values))}-{number(max(figure.values))}" if len(figure.values) > 1 else ""
        words = {"max": "{:g} " + figure.unit, "max_ratio": "{:g} x", "max_over_floor": "floor + {:g} " + figure.unit}
        goal = ", ".join(words[k].format(v) for k, v in budget.items() if k in words)
        verdict = "" if not goal else "missed" if figure.judge(budget) else "met"
        rows.append((figure.what, f"{number(figure.value)} {figure.unit}", spread, f"{number(figure.floor)} {figure.unit}" if figure.floors else "",
                     f"{figure.ratio:.2f}" if figure.ratio else "", goal, verdict, figure.note))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + "  " + row[-1] for row in rows]


def read_budgets(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


def write_json(path, figures, budgets, about):
    entries = [{**dataclasses.asdict(f), "value": f.value, "floor": f.floor, "ratio": f.ratio, "budget": budgets.get(f.key),
                "broken": f.judge(budgets.get(f.key, {}))} for f in figures]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"about": about, "figures": entries}, file, indent=1)
        file.write("\n")
