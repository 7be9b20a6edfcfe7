"""How what the image's `train` leaves is served. A model may bring functions of its own
(`code/inference.py`)."""

import io
import pathlib

import joblib
import numpy
from sagemaker_inference import content_types
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler


class JoblibHandler(DefaultInferenceHandler):
    def default_model_fn(self, model_dir, context=None):
        return joblib.load(pathlib.Path(model_dir, "model.joblib"))

    def default_input_fn(self, input_data, content_type, context=None):
        if content_type == content_types.CSV:  # the toolkit's own way takes a column's type from it
            return numpy.loadtxt(io.StringIO(input_data), delimiter=",", ndmin=2)
        return super().default_input_fn(input_data, content_type, context)

    def default_predict_fn(self, data, model, context=None):
        return model.predict(data)
