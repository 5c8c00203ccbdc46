"""Callbacks: what may watch and steer a run of ``fit``, ``evaluate`` or ``predict``."""

from lamina.models.callbacks.callback import Callback
from lamina.models.callbacks.callback_list import CallbackList
from lamina.models.callbacks.csv_logger import CSVLogger
from lamina.models.callbacks.early_stopping import EarlyStopping
from lamina.models.callbacks.history import History
from lamina.models.callbacks.lambda_callback import LambdaCallback
from lamina.models.callbacks.learning_rate_scheduler import LearningRateScheduler
from lamina.models.callbacks.model_checkpoint import ModelCheckpoint
from lamina.models.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from lamina.models.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
