"""The page of the experiments, written from the numbers: what shows, what does not, what was not done."""

from typing import Any

from limner.experiments import variants as a
from limner.experiments.plots import plot_name
from limner.experiments.summary import (
    ALL_PA,
    BODY_PA,
    EXPERIMENTS,
    FACE_LOCAL,
    HANDS_LOCAL,
    HANDS_PA,
    SIZES,
    WAYS,
    Experiment,
)

INTRO = """# The paper's experiments, on limner's own data

ExPose's paper (Choutas et al., ECCV 2020) argues with ablations and comparisons. This page asks the same questions of
limner. It is written by a function from [data/experiments.json](data/experiments.json), which this command makes:

```
{command}
```

It can be stopped at any moment and goes on where it stopped, person by person and question by question; then
`python tools/experiments_page.py DIR` takes its numbers over here. The last run: {people} people, {fits} of them also
by optimisation, seed {seed}, photos of {photo_px} x {photo_px} px.

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

EHF_LEFT = (
    "* *EHF itself.* It needs a licence of its own; `limner evaluate ehf PATH` runs its protocol for those who have it."
)


def page(content: dict[str, Any]) -> str:
    """The page as Markdown."""
    parts = [INTRO.format(**content, tall=100 * round(0.78 * content["photo_px"] / 100))]
    if content.get("note"):
        parts.append(f"*{content['note']}*\n")
    for one in EXPERIMENTS:
        if one.key in content["experiments"]:
            parts.append(_section(one, content["experiments"][one.key]))
            parts += _remarks(one.key, content)
    parts.append(backbones_section(content["backbones"], content.get("trained_backbones", [])))
    if content.get("photos"):
        parts.append(_photos(content["photos"]))
    return "\n".join([*parts, _not_done(content)])


def _remarks(key: str, content: dict[str, Any]) -> list[str]:
    """What the numbers of an experiment say beyond its expectations."""
    means = content["experiments"][key]["means"]
    match key:
        case "sizes":
            return [_what_resolution_does(means, content["photo_px"])]
        case "optimisation":
            return [_what_optimisation_lacks(means)]
        case "alignment":
            return [_why_they_disagree(means, content["correlations"])]
    return []


def _not_done(content: dict[str, Any]) -> str:
    """What the run was not given, and what nobody can give."""
    lines = ["## Not done\n"]
    if "finetuning" not in content["experiments"]:
        lines.append(
            "* *Before and after end-to-end fine-tuning.* **Not measured**: this run was given no fine-tuned weights "
            "(`--tuned FOLDER`)."
        )
    if not content.get("trained_backbones"):
        lines.append("* *Accuracy of other backbones.* **Not measured**: see above.")
    return "\n".join([*lines, EHF_LEFT]) + "\n"


def _section(one: Experiment, found: dict[str, Any]) -> str:
    lines = [f"## {one.title}\n", f"{one.question}\n", f"*The paper's idea: {one.claim}*\n"]
    lines += [conclusion(found["differences"]), ""]
    lines += [comparison(found["means"], d) for d in found["differences"]]
    lines += ["", f"![{one.title}](images/{plot_name(one.key)})\n", f"{found['people']} people:\n"]
    lines += table(one.metrics, one.variants, found["means"])
    return "\n".join(lines) + "\n"


def conclusion(differences: list[dict[str, Any]]) -> str:
    """One paragraph: in how many comparisons the idea shows, and in which it does not."""
    shown, count = sum(_word(one) == SHOWS for one in differences), len(differences)
    if shown == count:
        return f"**It shows here**, in all {count} comparisons."
    start = "**It does not show here**" if not shown else f"**It shows here in {shown} of {count} comparisons**"
    rest = []
    for word, words in ((SHOWS_NOT, "no difference is certain"), (OPPOSITE, "the opposite shows")):
        by_pair: dict[str, list[str]] = {}
        for one in differences:
            if _word(one) == word:
                by_pair.setdefault(f"{one['better']} against {one['worse']}", []).append(one["metric"])
        if by_pair:
            rest.append(f"{words} in {' and '.join(f'{_listed(m)} ({pair})' for pair, m in by_pair.items())}")
    return f"{start}: {'; '.join(rest)}."


def _listed(names: list[str]) -> str:
    return "; ".join(names) if any("," in name for name in names) else ", ".join(names)


SHOWS, SHOWS_NOT, OPPOSITE = "shows", "does not show", "the opposite shows"


def _word(difference: dict[str, Any]) -> str:
    """What the interval of a difference that should be negative says."""
    return SHOWS if difference["high"] < 0 else OPPOSITE if difference["low"] > 0 else SHOWS_NOT


def comparison(means: dict[str, Any], difference: dict[str, Any]) -> str:
    """One line on one expected difference."""
    better, worse, metric = difference["better"], difference["worse"], difference["metric"]
    first, second = (_short(means[name][metric]["value"]) for name in (better, worse))
    bounds = f"{_short(difference['low'])} to {_short(difference['high'])}"
    by = _short(difference["value"])
    return f"* {metric}: {better} {first}, {worse} {second}, difference {by} ({bounds}): **{_word(difference)}**"


def table(metrics: tuple[str, ...], variants: tuple[str, ...], means: dict[str, Any]) -> list[str]:
    """Rows are metrics, columns variants."""
    lines = ["| | " + " | ".join(variants) + " |", "|---|" + "---:|" * len(variants)]
    return lines + [
        f"| {metric}{_unit(metric)} | " + " | ".join(_cell(means[variant].get(metric)) for variant in variants) + " |"
        for metric in metrics
        if any(metric in means[variant] for variant in variants)
    ]


def _unit(metric: str) -> str:
    return "" if "%" in metric else ", CPU" if metric == a.SECONDS else ", mm"


def _cell(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "not measured"
    return f"{_short(estimate['value'])} ({_short(estimate['low'])} to {_short(estimate['high'])})"


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _change(means: dict[str, Any], after: str, before: str, metric: str) -> float:
    """By how many per cent a variant's error is below another's (negative: above)."""
    first, second = means[after][metric]["value"], means[before][metric]["value"]
    return 100 * (second - first) / second if second else 0.0


def _lower(per_cent: float) -> str:
    return f"{abs(per_cent):.0f} % {'lower' if per_cent >= 0 else 'higher'}"


def _what_resolution_does(means: dict[str, Any], photo_px: int) -> str:
    """What is resolution good for: in per cent, part by part, step by step."""
    steps = [*SIZES, a.LIMNER]
    gains = {
        part: [_change(means, after, before, metric) for before, after in zip(steps, steps[1:], strict=False)]
        for part, metric in (("hands", HANDS_LOCAL), ("face", FACE_LOCAL), ("body", BODY_PA))
    }
    whole = {
        part: _change(means, a.LIMNER, SIZES[0], metric)
        for part, metric in (("hands", HANDS_LOCAL), ("face", FACE_LOCAL), ("body", BODY_PA))
    }
    sides = [photo_px // 8, photo_px // 4, photo_px // 2, photo_px]
    largest = max(range(3), key=lambda step: gains["hands"][step])
    last = gains["hands"][2]
    more = "the last step still helps" if last > 2 else "the last step does not help any more"
    parts_gain = max(whole["hands"], whole["face"])
    body = "the body gains less than they do" if whole["body"] < parts_gain else "the body gains as much as they do"
    return (
        f"From {sides[0]} to {photo_px} px the error of the hands from their joint becomes {_lower(whole['hands'])}, "
        f"of the face {_lower(whole['face'])}, of the body (PA-V2V) {_lower(whole['body'])}: {body}. Most of it comes "
        f"between {sides[largest]} and {sides[largest + 1]} px; from {sides[2]} to {sides[3]} px the hands become "
        f"{_lower(last)}: {more}.\n"
    )


def _what_optimisation_lacks(means: dict[str, Any]) -> str:
    """Where the optimiser's errors come from: said with the numbers of the run."""
    ratio = means[a.FIT_MEAN][a.SECONDS]["value"] / means[a.LIMNER][a.SECONDS]["value"]
    body, true = (means[name][BODY_PA]["value"] for name in (a.FIT_MEAN, a.FIT_MEAN_TRUE))
    hands, true_hands = (means[name][HANDS_PA]["value"] for name in (a.FIT_MEAN, a.FIT_MEAN_TRUE))
    near = (
        "less than between the paper's two methods: limner's optimiser takes Gauss-Newton steps and needs no "
        "general-purpose descent, and limner's regression ends with such steps too (its refinement), so the two are "
        "nearer relatives"
    )
    far = "and the two differ as much in time as the paper's methods do"
    start = _change(means, a.FIT_START, a.FIT_MEAN, ALL_PA)
    points = "the points decide" if true < 0.8 * body else "the points are not what it lacks"
    return (
        f"Optimisation alone takes {ratio:.1f} times as long as regression here, {near if ratio < 30 else far}. "
        f"Started from regression its error (PA-V2V all) is {_lower(start)} than from typical poses. With the "
        f"true points in place of the networks' the same optimiser gets from {_short(body)} to {_short(true)} mm "
        f"(body) and from {_short(hands)} to {_short(true_hands)} mm (hands): {points}, and beyond "
        "them the depth that no 2D point tells.\n"
    )


def _why_they_disagree(means: dict[str, Any], correlations: dict[str, float | None]) -> str:
    """Where errors come from: said with the numbers of the run."""
    of = means[a.LIMNER]
    local, wrist, pelvis = (of[f"hands {way}"]["value"] for way in (WAYS[0], WAYS[1], WAYS[3]))
    known = {part: value for part, value in correlations.items() if value is not None}
    shown = ", ".join(f"{value} for {part}" for part, value in known.items())
    same = "is mostly the one with the worst by the other" if min(known.values(), default=0.0) > 0.7 else "need not be"
    gain, carried = (_change(means, a.UNREFINED, a.BODY, f"hands {way}") for way in (WAYS[0], WAYS[3]))
    share = 100 * (pelvis - wrist) / pelvis
    mostly = "mostly the body's" if share > 50 else "only in part the body's"
    return (
        f"Of the {_short(pelvis)} mm that limner's hands are off from the pelvis, {_short(wrist)} are left when the "
        f"wrists are brought together and {_short(local)} when the hands themselves are aligned. The rest, {share:.0f} "
        "%, is where shoulder, elbow and the trunk have carried the hand: a metre of limbs that turn by a degree moves "
        f"it by 17 mm. So a global error is {mostly}: the part networks make the hands' own error {_lower(gain)} than "
        f"the body network's, and the error from the pelvis {_lower(carried)}. A wrist turned the right way on a wrong "
        "forearm can even look worse after Procrustes of the whole person, because it no longer shares the forearm's "
        f"error. Who has the worst hand by one measure {same}: rank correlation over people {shown or 'not measured'} "
        "(limner's answers, aligned on the part against from the pelvis).\n"
    )


def backbones_section(rows: list[dict[str, Any]], trained: list[dict[str, Any]]) -> str:
    """Times of all backbones, and the accuracy of those that were trained with an equal budget."""
    lines = [
        "## Backbones: accuracy against time\n",
        "One body crop of 256 x 256 px forward, CPU time of one thread. limner's own weights stand on BlazePose, seen "
        "both ways (two passes).\n",
        "| backbone | CPU ms | parameters, millions |",
        "|---|---:|---:|",
    ]
    lines += [f"| {row['backbone']} | {row['ms']} | {row['parameters'] / 1e6:.1f} |" for row in rows]
    if not trained:
        lines.append("\nAccuracy of the backbones trained with an equal budget: **not measured** (no table was given).")
        return "\n".join(lines) + "\n"
    return "\n".join([*lines, "", *_trained(trained)]) + "\n"


def _trained(rows: list[dict[str, Any]]) -> list[str]:
    """The table of trained backbones, its plot, and what it says."""
    best, fastest = min(rows, key=lambda row: row["error_mm"]), min(rows, key=lambda row: row["ms_per_crop"])
    slowest = max(rows, key=lambda row: row["ms_per_crop"])
    lines = [
        "Trained with an equal budget of CPU time, asked about people never trained on "
        "([bench/backbones.json](../bench/backbones.json)):\n",
        "| backbone | starts from | trained | images | CPU minutes | ms a crop | held-out PA-MPJPE, mm |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for row in sorted(rows, key=lambda row: float(row["error_mm"])):
        cells = (row["name"], row["init"], row["trained"], row["images"], row["minutes"])
        lines.append(f"| {' | '.join(map(str, cells))} | {row['ms_per_crop']:.1f} | {row['error_mm']:.1f} |")
    if best is slowest:
        words = "The slowest is also the most accurate"
    elif best is fastest:
        words = "The fastest is also the most accurate"
    else:
        words = "The most accurate is neither the fastest nor the slowest"
    mean = {row["mean_error_mm"] for row in rows if "mean_error_mm" in row}
    if len(mean) == 1:
        lines.append(f"| the mean pose, nothing seen | | | | | | {mean.pop():.1f} |")
    return [
        *lines,
        f"\n![Accuracy of backbones against their time](images/{plot_name('backbones')})\n",
        f"{words} with this budget: {best['name']}, {best['error_mm']:.1f} mm at {best['ms_per_crop']:.1f} ms; the "
        f"slowest, {slowest['name']}, has {slowest['error_mm']:.1f} mm at {slowest['ms_per_crop']:.1f} ms, the "
        f"fastest, {fastest['name']}, {fastest['error_mm']:.1f} mm at {fastest['ms_per_crop']:.1f} ms. A small "
        "budget favours small networks and those that start from something: it says nothing of where each would end.",
    ]


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
        variants = list(chosen[0]["values"])
        lines += ["| set | people | | " + " | ".join(variants) + " |", "|---|---:|---|" + "---:|" * len(variants)]
        for row in chosen:
            cells = [_cell(row["values"][name]) if name in row["values"] else "-" for name in variants]
            lines.append(f"| {row['set']} | {row['people']} | {row['metric']} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)
