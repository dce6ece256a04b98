"""The example rules and the dashboard ask for what the product exposes, and for nothing else."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.admin.test_metrics import NAMES

ROOT = Path(__file__).resolve().parent.parent.parent / "docs" / "monitoring"
RULES = yaml.safe_load((ROOT / "rules.yml").read_text())["groups"][0]["rules"]
BOARD: Any = json.loads((ROOT / "dashboard.json").read_text())
TARGETS = [target for panel in BOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for target in TARGETS]


def asked_for(expression: str) -> dict[str, set[str]]:
    """Every metric of an expression, and the labels that it asks them for."""
    found: dict[str, set[str]] = {}
    for name, matchers in re.findall(r"(bridge_\w+)(?:\{([^}]*)\})?", expression):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*[!=]", matchers))
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_what_is_exposed(expression: str) -> None:
    """Each metric by its name, each label by one that it has; a test of the exposition holds these names to it."""
    metrics = asked_for(expression)
    assert metrics
    for name, labels in metrics.items():
        assert labels <= NAMES[name], name
    grouped = {
        label.strip()
        for labels in re.findall(r"(?:by|without|on|ignoring) \(([^)]*)\)", expression)
        for label in labels.split(",")
    }
    assert grouped <= set.union(*(NAMES[name] for name in metrics))
    assert expression.count("(") == expression.count(")")


def test_every_word_in_a_legend_or_text_is_a_label_that_is_left() -> None:
    """What is shown of a sample is one of its labels."""
    for target in TARGETS:
        labels = set.union(*(NAMES[name] for name in asked_for(target["expr"])))
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels
    for rule in RULES:
        labels = set.union(*(NAMES[name] for name in asked_for(rule["expr"])))
        said = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", said)) <= labels
        assert {"summary", "description"} == set(rule["annotations"])


def test_every_metric_is_looked_at() -> None:
    """By a rule or a panel: what nobody looks at need not be measured."""
    asked = {name for expression in EXPRESSIONS for name in asked_for(expression)}
    assert {name for name in NAMES if not name.endswith(("_count", "_sum"))} == asked


def test_the_dashboard_fits_any_data_source() -> None:
    """Its own id is fixed, so that an import replaces it; its data source is chosen when it is looked at."""
    assert BOARD["uid"] == "hosting-bridge"
    assert [one["type"] for one in BOARD["templating"]["list"]] == ["datasource"]
    assert all(part["datasource"]["uid"] == "${datasource}" for part in [*BOARD["panels"], *TARGETS])
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_promtool_takes_the_rules() -> None:
    """Where it is there: every expression and template is one that Prometheus reads."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: the rules are held to the exposition only")
    ran = subprocess.run(
        [promtool, "check", "rules", str(ROOT / "rules.yml")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
