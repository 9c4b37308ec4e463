"""How are the experiments told? The page, written from the numbers: what shows, what does not, what was not done."""

from typing import Any

from limner.experiments import answers as a
from limner.experiments.plots import plot_name
from limner.experiments.summary import BODY_PA, EXPERIMENTS, HANDS_PA, Experiment

INTRO = """# The paper's experiments, on limner's own data

ExPose's paper (Choutas et al., ECCV 2020) argues with ablations and comparisons. This page asks the same questions of
limner. It is written by a function from [data/experiments.json](data/experiments.json), which this command makes:

```
{command}
```

It can be stopped at any moment and goes on where it stopped. The last run: {people} people, {fits} of them also by
optimisation, seed {seed}, photos of {photo_px} x {photo_px} px.

![Some of the people](images/experiments_people.jpg)

*Synthetic people as EHF shows people: whole, about facing the camera, both hands and the face in sight, one
clear photo each, about {tall} px high; everyday and captured poses, posed hands, expressions. Focal lengths are
1.1 to 1.8 times the photo's side; limner is not told and assumes the diagonal. The box of the person is given.
None of the seeds was used in training, but people come from the same generator as the training's do: these
numbers compare limner with itself, and say nothing of how it compares with other systems.*

V2V and "from ..." are mean distances of vertices in millimetres, roots (pelvis, wrist, head) brought together;
PA: after Procrustes of that part alone. Hands are the mean of both. 2D: mean distance of projected points in
per cent of the longer side of the true hand, face or person in the photo. In brackets 95 % bootstrap intervals
over people. Differences are paired: the same people on both sides. **shows**: the interval of the difference
lies below zero, as expected; **the opposite shows**: above zero; **does not show**: it contains zero with so
many people.
"""

NOT_DONE = """## Not done

* *Before and after end-to-end fine-tuning.* limner's backbones are frozen and its regressors are trained one by
  one; there are no weights trained end to end, so there is nothing to compare.
* *Accuracy of other backbones.* See above: without trained weights there is only their time.
* *EHF itself.* It needs a licence of its own; `limner evaluate ehf PATH` runs its protocol for those who have it.
"""


def page(content: dict[str, Any]) -> str:
    """The page as Markdown."""
    parts = [INTRO.format(**content, tall=100 * round(0.78 * content["photo_px"] / 100))]
    if content.get("note"):
        parts.append(f"*{content['note']}*\n")
    for one in EXPERIMENTS:
        if one.key in content["experiments"]:
            parts.append(_section(one, content["experiments"][one.key]))
            if one.key == "alignment":
                parts.append(_why_they_disagree(content))
            if one.key == "optimisation":
                parts.append(_what_optimisation_lacks(content["experiments"][one.key]["means"]))
    parts.append(_backbones(content["backbones"]))
    if content.get("photos"):
        parts.append(_photos(content["photos"]))
    return "\n".join([*parts, NOT_DONE])


def _section(one: Experiment, found: dict[str, Any]) -> str:
    lines = [f"## {one.title}\n", f"{one.question}\n", f"*The paper's idea: {one.claim}*\n"]
    lines += [verdict(found["means"], d) for d in found["differences"]]
    lines += ["", f"![{one.title}](images/{plot_name(one.key)})\n", f"{found['people']} people:\n"]
    lines += table(one.metrics, one.answers, found["means"])
    return "\n".join(lines) + "\n"


def verdict(means: dict[str, Any], difference: dict[str, Any]) -> str:
    """One line on one expected difference."""
    better, worse, metric = difference["better"], difference["worse"], difference["metric"]
    word = "the opposite shows" if difference["low"] > 0 else "does not show"
    word = "shows" if difference["high"] < 0 else word
    first, second = (_short(means[name][metric]["value"]) for name in (better, worse))
    bounds = f"{_short(difference['low'])} to {_short(difference['high'])}"
    by = _short(difference["value"])
    return f"* {metric}: {better} {first}, {worse} {second}, difference {by} ({bounds}): **{word}**"


def table(metrics: tuple[str, ...], answers: tuple[str, ...], means: dict[str, Any]) -> list[str]:
    """Rows are metrics, columns answers."""
    lines = ["| | " + " | ".join(answers) + " |", "|---|" + "---:|" * len(answers)]
    return lines + [
        f"| {metric}{_unit(metric)} | " + " | ".join(_cell(means[answer][metric]) for answer in answers) + " |"
        for metric in metrics
    ]


def _unit(metric: str) -> str:
    return "" if "%" in metric else ", CPU" if metric == a.SECONDS else ", mm"


def _cell(estimate: dict[str, float]) -> str:
    return f"{_short(estimate['value'])} ({_short(estimate['low'])} to {_short(estimate['high'])})"


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _what_optimisation_lacks(means: dict[str, Any]) -> str:
    """Where the optimiser's errors come from: said with the numbers of the run."""
    slower = means[a.FIT_MEAN][a.SECONDS]["value"] / means[a.LIMNER][a.SECONDS]["value"]
    body, true = (_short(means[name][BODY_PA]["value"]) for name in (a.FIT_MEAN, a.FIT_MEAN_TRUE))
    hands, true_hands = (_short(means[name][HANDS_PA]["value"]) for name in (a.FIT_MEAN, a.FIT_MEAN_TRUE))
    return (
        f"Optimisation alone takes {slower:.1f} times as long as regression here, less than between the paper's two "
        "methods: limner's optimiser takes Gauss-Newton steps and needs no general-purpose descent, and limner's "
        "regression ends with such steps too (its refinement), so the two are nearer relatives. With the true points "
        f"in place of the networks' the same optimiser gets from {body} to {true} mm (body) and from {hands} to "
        f"{true_hands} mm (hands): the points decide, and beyond them the depth that no 2D point tells.\n"
    )


def _why_they_disagree(content: dict[str, Any]) -> str:
    """Where errors come from: said with the numbers of the run."""
    means = content["experiments"]["alignment"]["means"][a.LIMNER]
    local, wrist, pelvis = (means[f"hands {way}"]["value"] for way in ("PA-V2V", "from its joint", "from the pelvis"))
    agree = content["correlations"]
    shown = ", ".join(f"{value} for {part}" for part, value in agree.items() if value is not None)
    return (
        f"Of the {_short(pelvis)} mm that limner's hands are off from the pelvis, {_short(wrist)} are left "
        "when the wrists are "
        f"brought together and {_short(local)} when the hands themselves are aligned. The rest is where "
        "shoulder, elbow and "
        "the trunk have carried the hand: a metre of limbs that turn by a degree moves it by 17 mm, so a "
        "global error is "
        "mostly the body's, and a better hand network hardly moves it. A wrist turned the right way on a "
        "wrong forearm can "
        "even look worse after Procrustes of the whole person, because it no longer shares the forearm's "
        "error. Who has the "
        f"worst hand by one measure need not by the other: rank correlation over people {shown or 'not measured'} "
        "(limner's answers, aligned on the part against from the pelvis).\n"
    )


def _backbones(rows: list[dict[str, Any]]) -> str:
    lines = [
        "## Backbones: accuracy against time\n",
        "One body crop of 256 x 256 px forward, CPU time of one thread. Only BlazePose has weights in "
        "limner, seen both ways "
        "(two passes); of the others accuracy is **not measured**, because none is trained.\n",
        "| backbone | CPU ms | parameters, millions | accuracy |",
        "|---|---:|---:|---|",
    ]
    for row in rows:
        accuracy = "all numbers of this page" if row["backbone"] == "blaze" else "not measured"
        lines.append(f"| {row['backbone']} | {row['ms']} | {row['parameters'] / 1e6:.1f} | {accuracy} |")
    return "\n".join(lines) + "\n"


def _photos(rows: list[dict[str, Any]]) -> str:
    """Real photos: one table for whole people, one for hands and faces alone."""
    lines = [
        "## Real photos\n",
        "Labelled photos that nothing was trained on, the same small part of each set at every run "
        "(`limner evaluate photos` "
        "scores all of them). First whole people, of whom 17 points are labelled; then hands and faces in "
        "boxes of their "
        "own, where the part network alone is compared with its backbone's points and a mean hand or face.\n",
    ]
    for group in (lambda names: a.NO_ATTENTION in names, lambda names: a.NO_ATTENTION not in names):
        chosen = [row for row in rows if group(row["values"])]
        if not chosen:
            continue
        answers = list(chosen[0]["values"])
        lines += ["| set | people | | " + " | ".join(answers) + " |", "|---|---:|---|" + "---:|" * len(answers)]
        for row in chosen:
            cells = [_cell(row["values"][name]) if name in row["values"] else "-" for name in answers]
            lines.append(f"| {row['set']} | {row['people']} | {row['metric']} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)
