"""What an operator sets, in three places."""

from pathlib import Path

import pytest

from threedimo.errors import ServerError
from threedimo_server.config import ServerConfig
from threedimo_server.served_models import ModelChoice
from threedimo_server.settings import SETTINGS_FILE, Settings, make_config, read_settings

SEVERAL = """
[[models]]
model = "embedded"

[[models]]
model = "wan"
"""
GUIDE = Path(__file__).parents[2] / "server" / "README.md"


def write(home: Path, text: str) -> Path:
    (home / SETTINGS_FILE).write_text(text)
    return home


def test_without_settings_everything_is_as_usual(tmp_path):
    assert make_config(read_settings(tmp_path, {}), tmp_path) == ServerConfig(home=tmp_path)


def test_the_later_place_counts(tmp_path):
    home = write(tmp_path, 'host = "127.0.0.2"\nkeep_days = 7\nport = 7400\nmetrics_port = 9464\n')
    environment = {"THREEDIMO_KEEP_DAYS": "3.5", "THREEDIMO_PORT": "7500", "THREEDIMO_HOME": "elsewhere"}
    settings = Settings(port=7600).over(read_settings(home, environment))
    config = make_config(settings, home)
    assert (config.host, config.keep_days, config.metrics_port) == ("127.0.0.2", 3.5, 9464)
    assert (config.control_port, config.data_port) == (7600, 7601)


def test_every_setting_reaches_the_server(tmp_path):
    text = """
    model = "wan"
    adapter = "dancer"
    untrained = false
    lora = "turbo.safetensors"
    lora_steps = 8
    devices = ["cuda:0", "cuda:1"]
    memory = "fp8"
    attention = "sage"
    compile = true
    host = "0.0.0.0"
    port = 1
    data_port = 2
    metrics_port = 3
    keep_days = 4
    keep_gb = 5
    reserve_gb = 6
    max_asset_gb = 0.5
    max_queued_jobs = 8
    worker_silence_s = 9
    cancel_grace_s = 10
    """
    config = make_config(read_settings(write(tmp_path, text), {}), tmp_path)
    assert set(Settings.__struct_fields__) - {"models"} == {
        line.split()[0] for line in text.split("\n") if line.strip()
    }
    assert config.models == (ModelChoice("wan", "dancer", False, "turbo.safetensors", 8),)
    assert (config.attention, config.compiled) == ("sage", True)
    assert (config.devices, config.memory, config.host) == (("cuda:0", "cuda:1"), "fp8", "0.0.0.0")
    assert (config.control_port, config.data_port, config.metrics_port) == (1, 2, 3)
    assert (config.keep_days, config.keep_bytes, config.reserve_bytes) == (4, 5 * 10**9, 6 * 10**9)
    assert (config.limits.max_asset_bytes, config.limits.max_queued_jobs) == (5 * 10**8, 8)
    assert (config.worker_silence_s, config.cancel_grace_s) == (9, 10)


def test_the_environment_can_say_lists_and_truths(tmp_path):
    environment = {"THREEDIMO_DEVICES": "cuda:0, cuda:1", "THREEDIMO_UNTRAINED": "yes", "THREEDIMO_HOST": ""}
    settings = read_settings(tmp_path, environment)
    assert settings == Settings(devices=["cuda:0", "cuda:1"], untrained=True)


def test_model_adapter_and_untrained_are_one_choice(tmp_path):
    home = write(tmp_path, 'model = "wan"\nadapter = "dancer"\nkeep_days = 7\n')
    settings = Settings(model="embedded").over(read_settings(home, {}))
    assert settings == Settings(model="embedded", keep_days=7)
    assert read_settings(home, {"THREEDIMO_KEEP_DAYS": "1"}).adapter == "dancer"
    home = write(tmp_path, SEVERAL + "adapter = 'dancer'\n")
    assert make_config(read_settings(home, {}), home).models == (
        ModelChoice("embedded"),
        ModelChoice("wan", "dancer"),
    )
    assert Settings(model="wan").over(read_settings(home, {})) == Settings(model="wan")
    assert read_settings(home, {"THREEDIMO_UNTRAINED": "1"}) == Settings(untrained=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("keep_day = 7", "keep_day"),
        ('keep_days = "long"', r"keep_days"),
        ("port = 7400.5", r"port"),
        ("port 7400", "cannot be read"),
        ("devices = 'cpu'", "devices"),
        ("model = 'wan'" + SEVERAL, "inside a table of models"),
        ("[[models]]\nfolder = 'wan'", "folder"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(text, sentence, tmp_path):
    with pytest.raises(ServerError, match=sentence) as caught:
        read_settings(write(tmp_path, text), {})
    assert SETTINGS_FILE in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("UNTRAINED", "perhaps"),
        ("KEEP_GB", "1,5"),
        ("MAX_QUEUED_JOBS", "1.5"),
        ("MODELS", "a,b"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(name, value, tmp_path):
    with pytest.raises(ServerError, match=f"THREEDIMO_{name}={value}"):
        read_settings(tmp_path, {f"THREEDIMO_{name}": value})


def test_the_guide_has_every_setting():
    guide = GUIDE.read_text()
    missing = [name for name in Settings.__struct_fields__ if f"| `{name}` |" not in guide]
    assert missing == []
