"""Search of parameters: each trial is judged on the same folds. Seeded, one after the other."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import optuna

from riskstream.models.dataset.manifest import Labels
from riskstream.models.training.config import Kind, Model, Parameter, TrainConfig
from riskstream.models.training.folds import Fold
from riskstream.models.training.learners import Progress
from riskstream.models.training.learning import fold_precision

Suggest = Callable[[optuna.Trial], dict[str, Parameter]]

# What is tried of each kind: the parameters that matter most, within the ranges that make sense.
SPACES: dict[Kind, Suggest] = {
    "xgboost": lambda trial: {
        "max_depth": trial.suggest_int("max_depth", 3, 8),
        "eta": trial.suggest_float("eta", 0.01, 0.1, log=True),
        "min_child_weight": trial.suggest_float("min_child_weight", 1, 20, log=True),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "lambda": trial.suggest_float("lambda", 0.1, 20, log=True),
    },
    "lightgbm": lambda trial: {
        "num_leaves": trial.suggest_int("num_leaves", 15, 127, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 5, 200, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 20, log=True),
    },
    "random_forest": lambda trial: {
        "max_depth": trial.suggest_int("max_depth", 6, 16),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 50, log=True),
        "max_features": trial.suggest_float("max_features", 0.1, 0.8),
    },
    "logistic": lambda trial: {"C": trial.suggest_float("C", 0.01, 100, log=True)},
}


def search(folds: Sequence[Fold], labels: Labels, config: TrainConfig, progress: Progress) -> Model:
    """The config's model with the best parameters found; the config's own are the first trial, so never worse on the
    folds. Parameters that the config fixes stay fixed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))

    def tried(parameters: dict[str, Parameter]) -> Model:
        fixed = {**parameters, **config.model.parameters}
        return msgspec.structs.replace(config.model, parameters=fixed, early_stopping=0)

    def judge(model: Model) -> float:
        return sum(fold_precision(fold, labels, model, config.seed) for fold in folds) / len(folds)

    def objective(trial: optuna.Trial) -> float:
        return judge(tried(SPACES[config.model.kind](trial)))

    def advance(study: optuna.Study, _trial: Any) -> None:
        progress(len(study.trials) / config.search.trials)

    own = judge(tried({}))
    seconds = None if config.search.minutes is None else config.search.minutes * 60
    study.optimize(objective, config.search.trials, timeout=seconds, callbacks=[advance])
    best = tried(study.best_params) if study.best_value > own else tried({})
    return msgspec.structs.replace(best, early_stopping=config.model.early_stopping)
