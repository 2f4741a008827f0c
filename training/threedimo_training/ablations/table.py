"""The document as one Markdown table, the paper's rows beside ours, and what follows from it in sentences."""

from __future__ import annotations

from typing import Any

from threedimo_training.ablations.results import ALL
from threedimo_training.evaluation.held_out_clips import SPLITS

HEAD = (
    "variant",
    "loss",
    "loss, hints",
    "motion sens. %",
    "camera-text sens. %",
    "person PSNR (other motion)",
    "silhouette IoU",
    "pose error °",
    "camera error °, moving camera: text / hints",
    "GMSD",
    "paper: SSIM",
    "PSNR",
    "LPIPS",
    "FID",
    "FVD",
)


def rows(document: dict[str, Any]) -> list[list[str]]:
    """The cells of the table, a row for each variant; generated figures are means of the three splits."""
    return [[name, *_cells(row)] for name, row in document["variants"].items()]


def sentences(document: dict[str, Any]) -> list[str]:
    """One sentence for every variant but the whole method, and one about the order of all."""
    found = [f"{name}: {row['sentence']}" for name, row in document["variants"].items() if "sentence" in row]
    order = document["order"]
    if order["rank_correlation"] is not None:
        found.append(
            f"Order, best first. The paper by FVD: {', '.join(order['paper'])}. Ours by loss: "
            f"{', '.join(order['ours'])}. Rank correlation {order['rank_correlation']:+.2f}."
        )
    return found


def summary(document: dict[str, Any]) -> str:
    """What the figures rest on."""
    training = document["training"]
    return (
        f"{document['steps']} steps, the same for all but no_pairs: in the first {document['pairs_end']:.0%} "
        f"{document['pairs']} pairs of frames a step, then {document['batch']} clips of {training['frames']} "
        f"frames, of {training['size']} px. {document['clips']} held-out clips of each split for the "
        f"loss, {document['generated']} of each generated. Loss by text alone, mean of the splits; "
        "sensitivity: by how much another clip's motion, or another clip's camera text (moving camera), "
        "raises it. Intervals are over clips, not over seeds of the training."
    )


def markdown(document: dict[str, Any]) -> str:
    """The table, the sentences, and the main figures by split."""
    lines = ["# Ablations", "", summary(document), "", *_table(HEAD, rows(document)), ""]
    lines += [f"- {sentence}" for sentence in sentences(document)]
    lines += ["", "## By split: loss / motion sensitivity % / camera-text sensitivity %", ""]
    split_rows = [
        [name, *(_split_cell(row["held_out"][split]) for split in SPLITS)]
        for name, row in document["variants"].items()
    ]
    lines += _table(("variant", *(split.replace("_", " ") for split in SPLITS)), split_rows)
    return "\n".join([*lines, ""])


def _table(head: tuple[str, ...], body: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]


def _cells(row: dict[str, Any]) -> list[str]:
    held_out, paper = row["held_out"], row["paper"]
    cells = [
        f"{held_out[ALL]['flow_loss']['mean']:.4f}",
        f"{held_out[ALL]['hinted_flow_loss']['mean']:.4f}",
        _percent(held_out[ALL]["motion_sensitivity"]),
        _percent(held_out["moving_camera"]["camera_text_sensitivity"]),
        f"{_mean(row, 'generated', 'person_psnr', 2)} ({_mean(row, 'other_motion', 'person_psnr', 2)})",
        _mean(row, "generated", "silhouette_iou", 3),
        _mean(row, "generated", "pose_error_deg", 1),
        f"{_moving(row, 'text_alone')} / {_moving(row, 'generated')}",
        _mean(row, "generated", "gmsd", 3),
    ]
    if paper is None:
        return [*cells, *["–"] * 5]
    digits = {"ssim": 3, "psnr": 1, "lpips": 3, "fid": 1, "fvd": 1}
    return [*cells, *(f"{paper[name]:.{places}f}" for name, places in digits.items())]


def _split_cell(figures: dict[str, Any]) -> str:
    return (
        f"{figures['flow_loss']['mean']:.4f} / {_percent(figures['motion_sensitivity'])} / "
        f"{_percent(figures['camera_text_sensitivity'])}"
    )


def _percent(figure: dict[str, Any]) -> str:
    reach = "" if figure["ci95"] is None else f" ± {50 * (figure['ci95'][1] - figure['ci95'][0]):.1f}"
    return f"{100 * figure['mean']:.1f}{reach}"


def _moving(row: dict[str, Any], run: str) -> str:
    splits = row["generated"]
    found = splits["moving_camera"][run]["camera_error_deg"]["mean"] if splits else None
    return "–" if found is None else f"{found:.1f}"


def _mean(row: dict[str, Any], run: str, metric: str, digits: int) -> str:
    found = [split[run][metric]["mean"] for split in row["generated"].values()]
    known = [value for value in found if value is not None]
    return f"{sum(known) / len(known):.{digits}f}" if known else "–"
