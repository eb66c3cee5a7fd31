"""The config file of `riskstream train`: every mistake is named by its key."""

from pathlib import Path

import pytest

from riskstream.models.training.config import Alerts, ConfigError, TrainConfig, load_config
from riskstream.workers.commands.train import CONFIG, commit_of


def written(path: Path, text: str) -> Path:
    (path / "train.toml").write_text(text)
    return path / "train.toml"


def test_the_example_of_the_help_is_a_config(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, CONFIG))
    assert (config.data, config.model.trees, config.validation.folds) == ("payments", 600, 3)
    assert config.thresholds.review == Alerts(value=100)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "")) == TrainConfig()


def test_options_take_the_place_of_keys(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, 'version = "1.0.0"\nname = "mine"'), {"version": "2.0.0", "data": None})
    assert (config.version, config.name, config.data) == ("2.0.0", "mine", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.tree = 5", "model: Object contains unknown field `tree`"),
        ('model.trees = "many"', "model.trees: Expected `int`, got `str`"),
        ("model.trees = 0", "model.trees: Expected `int` >= 1"),
        ('model.kind = "oracle"', "model.kind: Invalid enum value 'oracle'"),
        ('thresholds.review = { by = "luck" }', "thresholds.review.by: Invalid value 'luck'"),
        ('thresholds.review = { by = "recall" }', "thresholds.review: Object missing required field `value`"),
        ('name = "Not A Name"', "name: Expected `str` matching regex"),
        ("search.trials = 3", "validation.folds: a search needs"),
        ('model = { kind = "logistic", early_stopping = 9 }', "model.early_stopping: a logistic does not grow"),
        ("model = [", "not TOML"),
    ],
)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, text))
    assert message in str(error.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "absent.toml")


def test_every_value_has_a_flat_name_in_the_manifest() -> None:
    flat = TrainConfig().flat
    assert flat["model.trees"] == 300
    assert flat["thresholds.decline.by"] == "precision"
    assert all(isinstance(value, str | int | float) for value in flat.values())


def test_where_there_is_no_git_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == ""


def test_the_config_of_make_train_is_one() -> None:
    config = load_config(Path(__file__).parents[2] / "deploy" / "train" / "payment.toml")
    assert config.model.kind == "xgboost"
