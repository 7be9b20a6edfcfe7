"""What the model server starts for each model. It wants a file with one class."""

from joblib_handler import JoblibHandler
from sagemaker_inference.default_handler_service import DefaultHandlerService
from sagemaker_inference.transformer import Transformer


class HandlerService(DefaultHandlerService):
    def __init__(self):
        super().__init__(transformer=Transformer(default_inference_handler=JoblibHandler()))
