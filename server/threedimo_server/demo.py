"""`threedimo demo`: the packaged inputs through the real wire, with nothing but this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from threedimo.errors import InvalidModel
from threedimo.model_info import EMBEDDED, model_folder
from threedimo_server.generate import make_shot
from threedimo_server.job_progress import JobProgress
from threedimo_server.job_run import connected_client
from threedimo_server.output_folder import check_output
from threedimo_server.own_server import own_server
from threedimo_server.served_models import ModelChoice
from threedimo_server.shot_inputs import ShotOptions

REFERENCE, DRIVING, CAMERA_PATH = "reference.png", "driving.mp4", "camera_path.json"


def run_demo(output: Path, *, model: str = EMBEDDED, inputs: Path | None = None) -> list[str]:
    """Make one shot with a server of its own and tell what happened.

    An earlier result in `output` is replaced.

    Args:
        output: Folder to write.
        model: As `threedimo serve --model` takes it.
        inputs: Folder of reference.png, driving.mp4 and camera_path.json; None means the packaged ones.

    Returns:
        Lines for a person: where the files are, and what the model can and cannot do.

    Raises:
        ThreeDimoError: Of any family; the output folder is then as it was before.
    """
    folder = model_folder(EMBEDDED) / "demo" if inputs is None else inputs
    missing = [name for name in (REFERENCE, DRIVING, CAMERA_PATH) if not (folder / name).is_file()]
    if missing:
        raise InvalidModel(
            "inputs of the demo are missing",
            given=", ".join(missing),
            remedy="install the package again: `pip install --force-reinstall threedimo[server]`",
        )
    options = ShotOptions(
        reference=folder / REFERENCE,
        drive=(folder / DRIVING,),
        camera_path=folder / CAMERA_PATH,
        output=output,
        overwrite=True,
    )
    check_output(output, overwrite=True)
    with JobProgress() as progress, tempfile.TemporaryDirectory(prefix="threedimo-demo-") as home:
        progress.note("starting a server for the demo")
        with (
            own_server(Path(home), ModelChoice(model)) as server,
            connected_client(server.connection) as client,
        ):
            shot = make_shot(client, options, progress, server.check_alive)
    notes = shot.model.notes or "The model comes without a description of its abilities."
    return [*shot.lines(), "", f"What the model {shot.model.id} can and cannot do:", notes]
